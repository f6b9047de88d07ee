"""The protocol of an IDM: reassembled episodes, baselines, and perfect labels that score 1."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from racing_vpt.games.read import load_game
from racing_vpt.models.idm_metrics import places_of
from racing_vpt.models.idm_protocol import Episode, agreement, constant, episodes_of, last_frame, trust
from racing_vpt.types import Batch

SCHEME = load_game("carracing").scheme(kind="idm")
STOPS = {"steering": 0.4}


def truth(start: int = 0, frames: int = 120) -> dict[str, torch.Tensor]:
    time = torch.arange(start, start + frames)
    return {
        "steering": 0.8 * torch.sin(time / 9),
        "throttle": (time % 40 < 25).float(),
        "brake": (time % 40 > 30).float(),
        "gear_change": torch.zeros(frames),
    }


def perfect(starts: tuple[int, ...] = (0, 11, 23), frames: int = 120) -> list[Episode]:
    """Episodes whose labels are the truth with confidence 1; frames 50 to 59 are not measured."""
    parts = [truth(start, frames) for start in starts]
    controls = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    places = torch.cat([torch.stack([torch.full((frames,), n), torch.arange(frames)], 1) for n in range(len(starts))])
    shuffled = torch.randperm(len(places), generator=torch.Generator().manual_seed(0))
    shuffled = shuffled[(places[shuffled, 1] < 50) | (places[shuffled, 1] >= 60)]
    controls = {name: column[shuffled] for name, column in controls.items()}
    classes = SCHEME.encode(controls)
    certain = {name: torch.nn.functional.one_hot(classes[name], SCHEME.num_classes[name]).float() for name in classes}
    return episodes_of(SCHEME, certain, controls, controls, places[shuffled])


def test_frames_in_any_order_become_episodes_in_order() -> None:
    episodes = perfect()
    assert [len(each.frames) for each in episodes] == [110] * 3
    assert all((np.diff(each.frames) > 0).all() for each in episodes)
    np.testing.assert_allclose(episodes[1].truth["steering"][:50], truth(11)["steering"][:50], atol=1e-6)


def test_perfect_labels_score_one_in_everything_with_certainty() -> None:
    episodes = perfect()
    figures = agreement(SCHEME, episodes, STOPS)
    assert set(figures) == {"steering", "throttle", "brake"}  # the gear never changes
    for control, named in figures.items():
        assert named.pop("lag")[0] == 0
        onsets = set() if control == "steering" else {"onset_f1_0", "onset_f1_2"}
        assert {name.removesuffix("_clipped") for name in named} == {"r2", "pearson", "scale", "f1"} | onsets
        for interval in named.values():
            assert interval == pytest.approx((1, 1, 1))
    sure = trust(SCHEME, episodes, STOPS)
    assert sure["brake"]["ece"] == (0, 0, 0)
    assert sure["all"]["error_100"] == (0, 0, 0)
    assert sure["all"]["accuracy_100"] == (1, 1, 1)
    assert sure["all"]["accuracy_75"][0] == pytest.approx(0.75, abs=0.01)  # the abstained quarter counts as wrong


def test_beyond_its_stop_steering_counts_only_where_it_is_not_clipped() -> None:
    episodes = perfect()
    wrong = [
        Episode(e.frames, {**e.labels, "steering": e.labels["steering"].clip(-0.4, 0.4)}, e.truth, {}, {})
        for e in episodes
    ]
    figures = agreement(SCHEME, wrong, STOPS)["steering"]
    assert figures["r2_clipped"][0] == pytest.approx(1)
    assert figures["r2"][0] < 0.9
    assert figures["scale"][0] < 0.8


def test_the_last_frames_controls_lag_by_one_and_miss_every_onset_by_one() -> None:
    episodes = [last_frame(each) for each in perfect()]
    assert [len(each.frames) for each in episodes] == [108] * 3  # one less in each stretch
    assert 60 not in episodes[0].frames
    figures = agreement(SCHEME, episodes, STOPS)
    assert figures["steering"]["lag"] == (1, 1, 1)
    assert figures["brake"]["onset_f1_0"][0] == 0
    assert figures["brake"]["onset_f1_2"][0] == 1


def test_the_mean_has_no_correlation_and_presses_all_or_nothing() -> None:
    means = {"steering": 0.0, "throttle": 0.6, "brake": 0.2, "gear_change": 0.0}
    figures = agreement(SCHEME, [constant(each, means) for each in perfect()], STOPS)
    assert figures["steering"]["r2"][0] == pytest.approx(0, abs=0.1)
    assert not {"pearson", "lag"} & {*figures["steering"]}
    assert figures["brake"]["f1"][0] < 0.5


def test_the_place_of_a_frame_comes_from_the_name_of_its_clip() -> None:
    frames, valid = torch.zeros(3, 4, 1, 1, 3, dtype=torch.uint8), torch.ones(3, 4, dtype=torch.bool)
    batch = Batch(frames, {}, valid, valid, valid.float(), ids=["a:0", "b:c:8", "a:4"])
    places = places_of(batch)
    assert places[:, :, 1].tolist() == [[0, 1, 2, 3], [8, 9, 10, 11], [4, 5, 6, 7]]
    assert places[0, 0, 0] == places[2, 3, 0] != places[1, 0, 0]
