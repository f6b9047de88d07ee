"""Preparing frames for a model: resize, crop, hide, grey. Data, agents and environments all use it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from einops import rearrange

from racing_vpt.types import Fit, Frame, FrameSpec, Rectangle, Resize


def prepare(frames: np.ndarray, spec: FrameSpec) -> np.ndarray:
    """Frames prepared as a model's input.

    Args:
        frames: uint8 [..., H, W, 3], RGB, any size.
        spec: the model's input frames.

    Returns:
        uint8 [..., spec.height, spec.width, 3]; the input itself if nothing has to be done.

    Raises:
        ValueError: the frames have another shape or dtype.
    """
    if frames.dtype != np.uint8 or frames.ndim < 3 or frames.shape[-1] != 3:
        raise ValueError(
            f"frames must be uint8 [..., height, width, 3], but {frames.dtype} {list(frames.shape)} was given"
        )
    if spec.crop_bottom:
        rows = frames.shape[-3]
        frames = frames[..., : max(1, rows - round(spec.crop_bottom * rows)), :, :]
    if frames.shape[-3:-1] != (spec.height, spec.width):
        resized = np.empty((*frames.shape[:-3], spec.height, spec.width, 3), np.uint8)
        for index in np.ndindex(frames.shape[:-3]):
            resized[index] = resize(frames[index], spec.height, spec.width, spec.fit, spec.resize)
        frames = resized
    if spec.grey:
        weights = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
        grey = np.rint(frames @ weights).astype(np.uint8)
        frames = np.repeat(grey[..., None], 3, axis=-1)
    return hide(frames, spec.hide)


def resize(frame: Frame, height: int, width: int, fit: Fit, how: Resize = "area") -> Frame:
    """Frame uint8 [H, W, 3] -> [height, width, 3].

    Shrinking averages over areas, which keeps thin lines, or with `linear` interpolates between the four nearest pixels
    as OpenAI's VPT does (OpenCV's INTER_LINEAR). Enlarging is always linear.
    """
    if fit == "crop":
        frame = _crop_to_aspect(frame, height, width)
    if fit == "letterbox":
        scale = min(height / frame.shape[0], width / frame.shape[1])
        inner_height, inner_width = max(1, round(frame.shape[0] * scale)), max(1, round(frame.shape[1] * scale))
        top, left = (height - inner_height) // 2, (width - inner_width) // 2
        canvas = np.zeros((height, width, 3), np.uint8)
        canvas[top : top + inner_height, left : left + inner_width] = _scale(frame, inner_height, inner_width, how)
        return canvas
    return _scale(frame, height, width, how)


def unstretched(picture: Frame, frame: Frame, spec: FrameSpec) -> Frame:
    """A prepared picture uint8 [h, w, 3] of a frame [H, W, 3], in the aspect ratio before `stretch`."""
    if spec.fit != "stretch":
        return picture
    height, width = frame.shape[0] - round(spec.crop_bottom * frame.shape[0]), frame.shape[1]
    return cv2.resize(picture, (width, max(1, height)), interpolation=cv2.INTER_CUBIC)


def hide(frames: np.ndarray, rectangles: Sequence[Rectangle]) -> np.ndarray:
    """A copy of frames [..., H, W, 3] with rectangles blacked out; the input itself if there are none."""
    if not rectangles:
        return frames
    hidden = frames.copy()
    for rectangle in rectangles:
        rows, columns = pixels_of(rectangle, *frames.shape[-3:-1])
        hidden[..., rows, columns, :] = 0
    return hidden


def pixels_of(rectangle: Rectangle, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of a rectangle in a picture of `height` x `width` pixels, rounded."""
    top, left, tall, wide = rectangle
    return slice(round(top * height), round((top + tall) * height)), slice(
        round(left * width), round((left + wide) * width)
    )


def film_strip(frames: np.ndarray, columns: int = 8, scale: int = 1) -> Frame:
    """Frames [T, H, W, 3] side by side in rows of `columns`, enlarged `scale` times."""
    frames = frames.repeat(scale, axis=1).repeat(scale, axis=2)
    missing = -len(frames) % columns
    frames = np.concatenate([frames, np.zeros((missing, *frames.shape[1:]), frames.dtype)])
    return rearrange(frames, "(rows columns) h w c -> (rows h) (columns w) c", columns=columns)


def _scale(frame: Frame, height: int, width: int, how: Resize) -> Frame:
    if frame.shape[:2] == (height, width):
        return frame
    averages = how == "area" and frame.shape[0] >= height and frame.shape[1] >= width
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if averages else cv2.INTER_LINEAR)


def _crop_to_aspect(frame: Frame, height: int, width: int) -> Frame:
    tall, wide = frame.shape[:2]
    keep_tall, keep_wide = min(tall, round(wide * height / width)), min(wide, round(tall * width / height))
    top, left = (tall - keep_tall) // 2, (wide - keep_wide) // 2
    return frame[top : top + max(1, keep_tall), left : left + max(1, keep_wide)]
