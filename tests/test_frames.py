"""Preparation of frames."""

import numpy as np
import pytest

from racing_vpt.checkpoints.migrate import migrate_frames
from racing_vpt.frames import film_strip, hide, prepare, resize
from racing_vpt.types import FrameSpec, frame_spec


def picture(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (*shape, 3), np.uint8, endpoint=True)


def test_a_frame_of_the_right_size_is_returned_unchanged() -> None:
    frames = picture(2, 96, 96)
    assert prepare(frames, FrameSpec()) is frames


def test_the_bottom_rows_are_black_and_the_input_is_not_changed() -> None:
    frames = picture(96, 96)
    before = frames.copy()
    prepared = prepare(frames, FrameSpec(hide=((0.875, 0, 0.125, 1),)))
    assert (prepared[84:] == 0).all()
    np.testing.assert_array_equal(prepared[:84], frames[:84])
    np.testing.assert_array_equal(frames, before)


def test_preparing_twice_is_preparing_once() -> None:
    for fit in ("stretch", "crop", "letterbox"):
        spec = FrameSpec(height=42, width=48, fit=fit, grey=True)
        once = prepare(picture(3, 60, 100), spec)
        np.testing.assert_array_equal(prepare(once, spec), once)


def test_batches_are_prepared_frame_by_frame() -> None:
    frames, spec = picture(2, 3, 50, 70), FrameSpec(height=32, width=32, fit="crop")
    prepared = prepare(frames, spec)
    assert prepared.shape == (2, 3, 32, 32, 3)
    np.testing.assert_array_equal(prepared[1, 2], prepare(frames[1, 2], spec))
    assert prepare(frames[:0], spec).shape == (0, 3, 32, 32, 3)


def test_letterbox_keeps_everything_between_black_bars() -> None:
    white = np.full((50, 100, 3), 255, np.uint8)
    boxed = resize(white, 64, 64, "letterbox")
    assert (boxed[16:48] == 255).all()
    assert (boxed[:16] == 0).all()
    assert (boxed[48:] == 0).all()


def test_crop_keeps_the_middle_without_distortion() -> None:
    wide = np.zeros((50, 100, 3), np.uint8)
    wide[:, 25:75] = 255  # the square in the middle
    assert (resize(wide, 50, 50, "crop") == 255).all()
    assert (resize(wide.transpose(1, 0, 2), 50, 50, "crop") == 255).all()


def test_shrinking_averages_so_that_thin_lines_stay() -> None:
    line = np.zeros((96, 96, 3), np.uint8)
    line[:, 50] = 240
    assert resize(line, 24, 24, "stretch").max() == pytest.approx(60, abs=1)


def bilinear(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear interpolation at the centre of each new pixel, float64."""
    places = ((n, old) for n, old in zip((height, width), frame.shape[:2], strict=True))
    y, x = (np.clip((np.arange(n) + 0.5) * old / n - 0.5, 0, old - 1) for n, old in places)
    (y0, x0), (dy, dx) = (y.astype(int), x.astype(int)), (y % 1, x % 1)
    y1, x1 = np.minimum(y0 + 1, frame.shape[0] - 1), np.minimum(x0 + 1, frame.shape[1] - 1)
    dy, dx, frame = dy[:, None, None], dx[None, :, None], frame.astype(float)
    upper, lower = (frame[row][:, x0] * (1 - dx) + frame[row][:, x1] * dx for row in (y0, y1))
    return upper * (1 - dy) + lower * dy


def test_linear_shrinking_interpolates_the_four_nearest_pixels_as_openai_does() -> None:
    game = picture(360, 640)
    spec = FrameSpec(height=128, width=128, resize="linear")
    shrunk = prepare(game, spec)
    np.testing.assert_allclose(shrunk.astype(float), bilinear(game, 128, 128), atol=1.0)
    averaged = prepare(game, FrameSpec(height=128, width=128))
    assert np.abs(shrunk.astype(int) - averaged).mean() > 20


def test_growing_is_linear_either_way() -> None:
    frame = picture(20, 30)
    np.testing.assert_array_equal(resize(frame, 64, 64, "stretch", "linear"), resize(frame, 64, 64, "stretch"))


def test_grey_repeats_the_luminance() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    grey = prepare(red, FrameSpec(height=4, width=4, grey=True))
    assert (grey == round(0.299 * 200)).all()


def test_a_film_strip_fills_its_last_row_with_black() -> None:
    frames = np.full((5, 4, 6, 3), 9, np.uint8)
    strip = film_strip(frames, columns=3, scale=2)
    assert strip.shape == (16, 36, 3)
    assert (strip[8:, 24:] == 0).all()
    assert (strip[:8] == 9).all()


@pytest.mark.parametrize("rows", [*range(1, 130), 360, 720])
def test_the_bottom_eighth_is_the_rows_that_were_masked_before(rows: int) -> None:
    frames = np.full((rows, 3, 3), 9, np.uint8)
    masked = frames.copy()
    masked[rows - round(0.125 * rows) :] = 0  # as version 0.1.0, whose checkpoints have `mask_bottom: 0.125`
    spec = frame_spec(migrate_frames({"height": rows, "width": 3, "mask_bottom": 0.125}))
    assert (prepare(frames, spec) == masked).all()


def test_a_hidden_rectangle_is_black_and_nothing_else() -> None:
    frames = np.full((2, 96, 96, 3), 7, np.uint8)
    hidden = prepare(frames, FrameSpec(hide=((0.25, 0.5, 0.25, 0.125),)))
    black = (hidden == 0).all(-1)
    assert black[:, 24:48, 48:60].all()
    assert black.sum() == 2 * 24 * 12
    assert (frames == 7).all(), "in a copy"


def test_masking_nothing_copies_nothing() -> None:
    frames = picture(8, 8)
    assert hide(frames, ()) is frames


@pytest.mark.parametrize("wrong", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)])
def test_arrays_other_than_frames_are_refused_with_their_shape(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        prepare(wrong, FrameSpec())


@pytest.mark.parametrize(
    "wrong", [{"height": 0}, {"hide": ((0.5, 0, 0.6, 1),)}, {"frames_per_second": float("nan")}, {"stride": 0}]
)
def test_an_impossible_frame_spec_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"given|asked|rectangle"):
        FrameSpec(**wrong)  # type: ignore[arg-type]
