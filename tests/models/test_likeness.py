"""Whether a video is like the training data."""

from __future__ import annotations

import pytest
import torch

from racing_vpt.checkpoints.load import load_module
from racing_vpt.models.likeness import Likeness, vector_width, video_vector
from racing_vpt.models.timed_idm import TimedIDM
from racing_vpt.types import Batch


def fitted(width: int = 6) -> tuple[Likeness, torch.Tensor]:
    spread = torch.tensor([1.0, 10.0, 0.1, 1.0, 1.0, 1.0])
    usual = spread * torch.randn(200, width, generator=torch.Generator().manual_seed(0))
    likeness = Likeness(width)
    likeness.fit(usual)
    return likeness, usual


def test_what_it_was_fitted_to_is_alike_and_what_lies_far_is_not() -> None:
    likeness, usual = fitted()
    assert likeness.fitted
    assert likeness(usual).mean() > 0.99
    assert likeness(usual.mean(0, keepdim=True) + 100).item() < 1e-6


def test_each_number_counts_by_its_own_spread() -> None:
    likeness, usual = fitted()
    wide, narrow = usual.mean(0).repeat(2, 1).unbind()
    wide[1], narrow[3] = 8.0, 8.0  # less than one deviation of the second number, eight of the fourth
    near, far = likeness(torch.stack([wide, narrow]))
    assert near == 1
    assert far < 0.1


def test_too_few_videos_leave_it_unknown() -> None:
    likeness = Likeness(6)
    likeness.fit(torch.randn(10, 6))
    assert not likeness.fitted


def test_a_vector_has_its_width_and_is_finite_for_a_single_frame() -> None:
    for count in (1, 40):
        read = {name: {head: torch.randn(count, 5) for head in ("a", "b")} for name in ("view", "motion", "both")}
        vector = video_vector(torch.randn(count, 16, 12), torch.randn(count, 7), read)
        assert vector.shape == (vector_width(16, 12, 7, heads=2, readers=3),)
        assert vector.isfinite().all()


def test_padding_does_not_change_how_like_a_video_is() -> None:
    model = load_module("zoo:idm-carracing-video")
    assert isinstance(model, TimedIDM)
    frames = torch.randint(0, 255, (1, 32, 96, 96, 3), dtype=torch.uint8)
    padded = torch.cat([frames, torch.zeros(1, 8, 96, 96, 3, dtype=torch.uint8)], 1)
    vectors = []
    with torch.no_grad():
        for shown in (frames, padded):
            count = shown.shape[1]
            valid = torch.arange(count)[None] < 32
            vectors.append(model.read_videos(shown, valid, 0.02 * torch.arange(count)[None])[1])
    torch.testing.assert_close(vectors[0], vectors[1], atol=0.02, rtol=0.02)


@pytest.mark.parametrize("known", [True, False])
def test_a_prediction_tells_the_likeness_once_it_is_fitted(known: bool) -> None:
    model = TimedIDM().eval()
    model.place.copy_(torch.tensor([60, 40]))
    if known:
        model.likeness.fit(torch.randn(64, len(model.likeness.mean), generator=torch.Generator().manual_seed(0)))
    valid = torch.ones(2, 12, dtype=torch.bool)
    frames = torch.randint(0, 255, (2, 12, 96, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        probabilities, likeness = model.predict_step(Batch(frames, {}, valid, valid, valid.float()), 0)
    assert probabilities["steering"].shape[:2] == (2, 12)
    assert (likeness is not None) == known
    if likeness is not None:
        assert ((likeness >= 0) & (likeness <= 1)).all()


def test_checkpoints_keep_the_likeness_only_once_it_is_fitted() -> None:
    model = TimedIDM()
    saved = {"state_dict": dict(model.state_dict())}
    model.on_save_checkpoint(saved)
    assert not [name for name in saved["state_dict"] if name.startswith("likeness.")]
    model.likeness.fit(torch.randn(64, len(model.likeness.mean), generator=torch.Generator().manual_seed(0)))
    saved = {"state_dict": dict(model.state_dict())}
    model.on_save_checkpoint(saved)
    again = TimedIDM()
    again.on_load_checkpoint(saved)
    again.load_state_dict(saved["state_dict"])
    assert again.likeness.usual == model.likeness.usual > 0
