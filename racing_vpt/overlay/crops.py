"""The part of the picture that a display takes, in one orientation and size, with what surrounds it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from racing_vpt.games.overlay import Display

MOST_ALONG = 256  # pixels that a crop keeps along the display
MOST_ACROSS = 48
SURROUND = 0.6  # of the smaller side: how far around the display the picture is looked at


@dataclass(frozen=True)
class Crop:
    """Where a display lies in pictures of one size, and how it is turned so that it runs to the right.

    Args:
        outer: rows and columns of the display with its surroundings, [top, bottom, left, right] in pixels.
        inner: the display alone in the turned and resized crop, [top, bottom, left, right] in pixels.
        height: of the crop.
        width: of the crop.
        towards: which side of the picture becomes the right one.
    """

    outer: tuple[int, int, int, int]
    inner: tuple[int, int, int, int]
    height: int
    width: int
    towards: str

    @staticmethod
    def of(display: Display, height: int, width: int) -> Crop:
        """The crop of a display in pictures of `height` x `width` pixels.

        Raises:
            ValueError: the display is smaller than two pixels there.
        """
        top, left = display.place[0] * height, display.place[1] * width
        bottom, right = top + display.place[2] * height, left + display.place[3] * width
        edges = [round(top), round(bottom), round(left), round(right)]
        tall, wide = edges[1] - edges[0], edges[3] - edges[2]
        if min(tall, wide) < 1 or max(tall, wide) < 3:
            raise ValueError(
                f"the {display.kind} of {display.control} at {list(display.place)} is {tall}x{wide} pixels in a "
                f"picture of {height}x{width}; give a larger rectangle, or a larger video"
            )
        around = max(2, round(SURROUND * min(tall, wide)))
        outer = (
            max(0, edges[0] - around), min(height, edges[1] + around),
            max(0, edges[2] - around), min(width, edges[3] + around),
        )  # fmt: skip
        inside = [edges[0] - outer[0], edges[1] - outer[0], edges[2] - outer[2], edges[3] - outer[2]]
        rows, columns = outer[1] - outer[0], outer[3] - outer[2]
        if display.kind == "dial":
            scale = min(1.0, 2 * MOST_ACROSS / max(rows, columns))
            shape = (max(1, round(rows * scale)), max(1, round(columns * scale)))
            place = (inside[0] * scale, inside[1] * scale, inside[2] * scale, inside[3] * scale)
            return Crop(outer, _whole(place), *shape, "right")
        towards = display.towards if display.kind != "key" else "right"
        if towards in ("up", "down"):  # turned: rows become columns
            start = (rows - inside[1], rows - inside[0]) if towards == "up" else (inside[0], inside[1])
            inside, rows, columns = [inside[2], inside[3], *start], columns, rows
        elif towards == "left":
            inside = [inside[0], inside[1], columns - inside[3], columns - inside[2]]
        down, across = min(1.0, MOST_ACROSS / rows), min(1.0, MOST_ALONG / columns)
        shape = (max(1, round(rows * down)), max(1, round(columns * across)))
        place = (inside[0] * down, inside[1] * down, inside[2] * across, inside[3] * across)
        return Crop(outer, _whole(place), *shape, towards)

    def cut(self, frames: np.ndarray) -> np.ndarray:
        """The crops float32 [T, height, width, 3] of frames uint8 [T, H, W, 3]."""
        top, bottom, left, right = self.outer
        part = frames[:, top:bottom, left:right]
        if self.towards == "up":
            part = part[:, ::-1].swapaxes(1, 2)
        elif self.towards == "down":
            part = part.swapaxes(1, 2)
        elif self.towards == "left":
            part = part[:, :, ::-1]
        if part.shape[1:3] == (self.height, self.width):
            return part.astype(np.float32)
        size = (self.width, self.height)
        crops = [cv2.resize(np.ascontiguousarray(each), size, interpolation=cv2.INTER_AREA) for each in part]
        return np.stack(crops).astype(np.float32)


def lines_of(crops: np.ndarray, crop: Crop) -> tuple[np.ndarray, np.ndarray]:
    """Colours along a display, and beside it.

    Args:
        crops: float32 [T, H, W, 3].
        crop: where the display is in them.

    Returns:
        Means over the inner rows of the display float32 [T, L, 3], and over the rows above and below it; where there
        are none, zeros.
    """
    top, bottom, left, right = crop.inner
    trim = (bottom - top) // 5
    inner = crops[:, top + trim : bottom - trim, left:right].mean(1)
    beside = np.concatenate([crops[:, :top, left:right], crops[:, bottom:, left:right]], axis=1)
    return inner, beside.mean(1) if beside.shape[1] else np.zeros_like(inner)


def _whole(place: tuple[float, ...]) -> tuple[int, int, int, int]:
    top, bottom, left, right = (round(each) for each in place)
    return top, max(top + 1, bottom), left, max(left + 1, right)
