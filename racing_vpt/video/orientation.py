"""Orientation of a video: phones and editors store a display matrix instead of rotating the pictures."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np

MATRIX = "DISPLAYMATRIX"
UNIT = 1 << 16  # 1 in the matrix's fixed-point numbers
TOLERANCE = 0.02  # tolerance relative to 1; cameras round


@dataclass(frozen=True)
class Orientation:
    """Operations on each picture, in this order.

    Args:
        transpose: swap rows and columns.
        flip_rows: turn it upside down.
        flip_columns: mirror it, left to right.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of(cls, picture: av.VideoFrame) -> Orientation:
        """Orientation from a picture's display matrix (ISO/IEC 14496-12, 8.3.2).

        Raises:
            ValueError: it is not a combination of quarter turns and mirrors; the message names the angle.
        """
        data = picture.side_data.get(MATRIX)
        if data is None:
            return cls()
        numbers = np.frombuffer(data, np.int32)  # type: ignore[call-overload] # the stubs do not know that it is a buffer
        a, b, _, c, d, *_ = numbers / UNIT  # x' = a x + c y, y' = b x + d y
        straight, crossed = np.abs([a, d]), np.abs([b, c])
        if np.abs(straight - 1).max() < TOLERANCE and crossed.max() < TOLERANCE:
            return cls(False, bool(d < 0), bool(a < 0))
        if np.abs(crossed - 1).max() < TOLERANCE and straight.max() < TOLERANCE:
            return cls(True, bool(b < 0), bool(c < 0))
        raise ValueError(f"is to be shown turned by {picture.rotation} degrees; quarter turns and mirrors can be read")

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width as shown, of a picture stored with the given ones."""
        return (width, height) if self.transpose else (height, width)

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Apply the orientation to a picture [H, W, C]."""
        shown = picture.swapaxes(0, 1) if self.transpose else picture
        rows, columns = (slice(None, None, -1 if flip else 1) for flip in (self.flip_rows, self.flip_columns))
        return shown[rows, columns]
