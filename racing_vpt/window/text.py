"""Text and colours in pictures uint8 [H, W, 3]."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from racing_vpt.types import Frame

Colour = tuple[int, int, int]  # RGB
Point = tuple[int, int]  # x, y in pixels

BACKGROUND, RAISED, DARK, FAINT = (22, 23, 27), (33, 35, 41), (48, 50, 58), (95, 98, 108)
TEXT, QUIET = (236, 237, 240), (158, 162, 172)
RIGHT, WRONG, PRESSED, WARNING = (80, 200, 110), (250, 80, 70), (90, 170, 255), (245, 185, 65)
SIZE = 13  # of letters, pixels


def write(
    canvas: Frame, text: str, at: Point, colour: Colour = TEXT, *, size: int = SIZE, bold: bool = False, align: str = ""
) -> None:
    """Draw a line of text into the canvas, clipped at its edges.

    Args:
        canvas: uint8 [H, W, 3], drawn into.
        text: one line.
        at: start of its baseline, or with `align` its `centre` or `right` end.
        colour: of the letters.
        size: of the letters, pixels.
        bold: bold letters.
        align: "", `centre` or `right`.
    """
    mask, ascent = _letters(text, size, bold)
    height, width = mask.shape
    left = at[0] - (width // 2 if align == "centre" else width if align == "right" else 0)
    top = at[1] - ascent
    rows = slice(max(0, -top), max(0, min(height, canvas.shape[0] - top)))
    columns = slice(max(0, -left), max(0, min(width, canvas.shape[1] - left)))
    opacity = mask[rows, columns, None]
    region = canvas[top + rows.start : top + rows.stop, left + columns.start : left + columns.stop]
    region[:] = region + (np.array(colour) - region) * opacity + 0.5


def text_width(text: str, size: int = SIZE, bold: bool = False) -> int:
    """Width of the text in pixels."""
    return _letters(text, size, bold)[0].shape[1]


def fitting(text: str, width: int, size: int = SIZE, bold: bool = False) -> str:
    """The text, shortened to its end after dots if it is wider than `width` pixels."""
    shown = text
    while len(shown) > 4 and text_width(shown, size, bold) > width:
        shown = "..." + shown.removeprefix("...")[1:]
    return shown


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Mix of two colours; `share` of the second, 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


@lru_cache(maxsize=2048)
def _letters(text: str, size: int, bold: bool) -> tuple[np.ndarray, int]:
    """Opacity float32 [h, w] of a line of text, and the row of its baseline."""
    font = _font(size, bold)
    ascent, descent = font.getmetrics()
    picture = Image.new("L", (max(1, round(font.getlength(text))), ascent + descent))
    ImageDraw.Draw(picture).text((0, ascent), text, fill=255, font=font, anchor="ls")
    return np.asarray(picture, np.float32) / 255, ascent


@lru_cache(maxsize=16)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    found = find_spec("matplotlib")  # it contains DejaVu Sans; importing it would take a second
    assert found is not None, "matplotlib, a dependency, is not installed"
    assert found.origin is not None, "matplotlib has no folder"
    folder = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf"), size)
