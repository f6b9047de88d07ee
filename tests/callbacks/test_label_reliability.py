"""The sentence that `predict` ends with: how far labels are to be trusted, and what to do."""

from __future__ import annotations

import pytest

from racing_vpt.callbacks.label_reliability import Reliability, effective_ranges
from racing_vpt.models.idm_metrics import PRESSED

RANGES = {"steering": 0.8, "brake": 1.0}


def reliability(error: float, likeness: float | None, name: str = "a") -> Reliability:
    """Ten frames of confidence 0.05, 0.15, ... of one video."""
    found = Reliability(RANGES)
    found.count([0.05 + place / 10 for place in range(10)], {"steering": [error] * 10, "brake": [0.02] * 10}, likeness)
    found.finish(name)
    return found


def test_good_labels_are_said_to_be_good_with_their_errors() -> None:
    sentence = reliability(0.06, 0.98).sentence()
    assert "steering by 0.06, brake by 0.02" in sentence
    assert "likeness 0.98" in sentence
    assert "min_confidence 0.051 " in sentence  # leaves out one of ten
    assert "Do not" not in sentence
    assert "encode" not in sentence


def test_rough_labels_ask_for_better_video() -> None:
    sentence = reliability(0.2, 0.98).sentence()
    assert "much for steering" in sentence
    assert "encode better" in sentence


def test_unlike_videos_are_named_and_their_labels_are_not_to_be_trusted() -> None:
    total = Reliability(RANGES)
    total.add(reliability(0.06, 0.98, "mine"))
    total.add(reliability(0.06, 0.01, "torcs"))
    sentence = total.sentence()
    assert "1 of 2 videos (torcs)" in sentence
    assert "ten minutes" in sentence


def test_a_model_that_knows_no_likeness_says_so() -> None:
    assert "does not tell" in reliability(0.06, None).sentence()
    assert Reliability().sentence() == ""


def test_means_are_over_frames_of_all_videos() -> None:
    total = Reliability(RANGES)
    for each in (reliability(0.1, 1.0), reliability(0.3, 0.5)):
        total.add(each)
    means = total.means()
    assert means["mean_confidence"] == pytest.approx(0.5)
    assert means["mean_expected_error"] == {"steering": pytest.approx(0.2), "brake": pytest.approx(0.02)}
    assert means["likeness"] == pytest.approx(0.75)


def test_a_range_ends_at_the_stop() -> None:
    limits = {"steering": (-1.0, 1.0), "brake": (0.0, 1.0)}
    assert effective_ranges(limits, {"steering": 0.4}) == pytest.approx(RANGES)
    assert effective_ranges(limits, {"brake": PRESSED})["brake"] == pytest.approx(PRESSED)
