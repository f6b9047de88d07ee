"""What is done to a frame before a model sees it; the same for data, agents and environments."""

from __future__ import annotations

import cv2
import numpy as np
from einops import rearrange

from racing_vpt.types import Fit, Frame, FrameSpec, Resize


def prepare(frames: np.ndarray, spec: FrameSpec) -> np.ndarray:
    """Frames as a model wants them.

    Args:
        frames: uint8 [..., H, W, 3], RGB, of any size.
        spec: what the model asked for.

    Returns:
        uint8 [..., spec.height, spec.width, 3]; the input itself where there is nothing to do.
    """
    if frames.dtype != np.uint8 or frames.ndim < 3 or frames.shape[-1] != 3:
        raise ValueError(f"a frame is uint8 [..., height, width, 3]; {frames.dtype} {list(frames.shape)} was given")
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
    return mask_bottom(frames, spec.mask_bottom)


def resize(frame: Frame, height: int, width: int, fit: Fit, how: Resize = "area") -> Frame:
    """Frame uint8 [H, W, 3] -> [height, width, 3].

    When it shrinks it is averaged over areas, so that thin lines stay, or with `linear` read off between the four
    nearest pixels, as OpenAI's VPT does (OpenCV's INTER_LINEAR). When it grows both are linear.
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
    """A picture uint8 [h, w, 3] prepared from a frame [H, W, 3], in the proportions of what it shows of it."""
    if spec.fit != "stretch":
        return picture
    height, width = frame.shape[0] - round(spec.crop_bottom * frame.shape[0]), frame.shape[1]
    return cv2.resize(picture, (width, max(1, height)), interpolation=cv2.INTER_CUBIC)


def mask_bottom(frames: np.ndarray, fraction: float) -> np.ndarray:
    """Frames [..., H, W, 3] with the bottom fraction of the rows black, in a copy."""
    rows = round(fraction * frames.shape[-3])
    if rows == 0:
        return frames
    masked = frames.copy()
    masked[..., -rows:, :, :] = 0
    return masked


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
