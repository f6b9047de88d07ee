"""Feature points: they follow what moves, by fractions of a pixel, and padding is no motion."""

from __future__ import annotations

import torch

from racing_vpt.nn.points import ACCELERATION, PER_POINT, VELOCITY, FeaturePoints

HEIGHT, WIDTH = 8, 33


def bright_points(points: int = 1) -> FeaturePoints:
    """Points whose feature is brightness, pixel by pixel."""
    found = FeaturePoints(points, colours=1, channels=1)
    with torch.no_grad():
        for conv, gain in ((found.convs[0], 1.0), (found.convs[2], 30.0)):
            conv.weight.zero_()
            conv.weight[:, :, 2, 2] = gain
            conv.bias.zero_()
    return found


def spot(columns: list[float]) -> torch.Tensor:
    """Pictures float32 [1, T, 1, H, W] of a spot at fractional columns, as resizing by areas draws it."""
    pictures = torch.zeros(1, len(columns), 1, HEIGHT, WIDTH)
    for t, column in enumerate(columns):
        low = int(column)
        pictures[0, t, 0, 3, low], pictures[0, t, 0, 3, low + 1] = 1 - (column - low), column - low
    return pictures


def test_a_point_is_where_its_feature_is() -> None:
    across, down, strength = bright_points()(spot([4.0, 16.0, 28.0]))[0, :, :3].unbind(-1)
    torch.testing.assert_close(across, torch.tensor([-0.75, 0.0, 0.75]), atol=1e-3, rtol=0)
    torch.testing.assert_close(down, torch.full((3,), 3 / 7 * 2 - 1), atol=1e-3, rtol=0)
    assert (strength > 0.99).all()


def test_differences_are_velocity_and_its_change() -> None:
    found = bright_points()(spot([4.0, 6.0, 8.0, 12.0]))[0]
    pixel = 2 / (WIDTH - 1)
    torch.testing.assert_close(found[:, 3] / VELOCITY / pixel, torch.tensor([2.0, 2.0, 4.0, 0.0]), atol=2e-2, rtol=0)
    torch.testing.assert_close(
        found[:, 5] / ACCELERATION / pixel, torch.tensor([0.0, 0.0, 2.0, 0.0]), atol=4e-2, rtol=0
    )


def test_padding_has_no_place_and_moves_nothing() -> None:
    valid = torch.tensor([[True, True, True, False]])
    points, pictures = bright_points(2), spot([4.0, 6.0, 10.0, 20.0])
    padded, whole = points(pictures, valid), points(pictures[:, :3])
    assert whole.shape == (1, 3, 2 * PER_POINT)
    torch.testing.assert_close(padded[:, :3], whole)
    assert not padded[:, 3].any()
