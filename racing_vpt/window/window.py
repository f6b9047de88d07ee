"""The window: shows pictures and reads keys at the frame rate. The only file that opens a pygame window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pygame

from racing_vpt.types import Frame
from racing_vpt.window.text import BACKGROUND, FAINT, PRESSED, QUIET, RAISED, WARNING, text_width, write

HelpLine = tuple[str, str]  # keys, and what they do
CLOSING = ("escape", "q")  # keys that close the window
ALWAYS: tuple[HelpLine, ...] = (("h", "these keys"), ("Escape or q", "end"))
SLOW = 0.9  # share of the frame rate below which the window warns,
SLOW_SECONDS = 1.0  # after so many seconds
ROW = 24  # pixels per line of help


@dataclass(frozen=True)
class Keys:
    """Keys used in one frame, by pygame name.

    Args:
        held: keys that were down at some time in the frame.
        pressed: keys that went down in the frame, in order.
    """

    held: frozenset[str] = frozenset()
    pressed: tuple[str, ...] = ()


class Window:
    """A window that opens with the first picture. `h` shows the keys and pauses the game.

    Args:
        title: title of the window.
    """

    def __init__(self, title: str = "racing-vpt") -> None:
        self.title = title
        self._surface: pygame.Surface | None = None
        self._down: set[str] = set()
        self._slow = 0.0  # time since which the rate is too low

    def show(self, picture: Frame, frames_per_second: float, help: Sequence[HelpLine] = ()) -> Keys:
        """Show a picture uint8 [H, W, 3], wait until the next one is due, and return the keys used meanwhile.

        Closing the window counts as pressing `escape`.
        """
        height, width = picture.shape[:2]
        if self._surface is None:
            pygame.display.init()
            pygame.display.set_caption(self.title)
            self._clock = pygame.time.Clock()
        if self._surface is None or self._surface.get_size() != (width, height):
            self._surface = pygame.display.set_mode((width, height))
        self._blit(with_warning(picture, self._rate(), frames_per_second) if self._is_slow() else picture)
        seconds = self._clock.tick(frames_per_second) / 1000
        self._slow = self._slow + seconds if self._rate() < SLOW * frames_per_second else 0.0
        keys = self._read()
        if "h" in keys.pressed and not any(key in CLOSING for key in keys.pressed):
            return self._explain(picture, help)
        return keys

    def close(self) -> None:
        """Close the window, if it is open."""
        if self._surface is not None:
            pygame.display.quit()
            self._surface = None

    def _rate(self) -> float:
        return self._clock.get_fps()

    def _is_slow(self) -> bool:
        return self._slow > SLOW_SECONDS

    def _explain(self, picture: Frame, help: Sequence[HelpLine]) -> Keys:
        """Show the keys until one is pressed; a key that closes the window is passed on."""
        self._blit(with_help(picture, [*help, *ALWAYS]))
        keys = Keys()
        while not keys.pressed:
            self._clock.tick(30)
            keys = self._read()
        self._clock = pygame.time.Clock()  # waiting does not count as slow
        self._slow = 0.0
        return Keys(pressed=tuple(key for key in keys.pressed if key in CLOSING))

    def _blit(self, picture: Frame) -> None:
        assert self._surface is not None
        pygame.surfarray.blit_array(self._surface, np.swapaxes(picture, 0, 1))
        pygame.display.flip()

    def _read(self) -> Keys:
        pressed: list[str] = []
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                pressed.append("escape")
            elif event.type == pygame.KEYDOWN:
                pressed.append(pygame.key.name(event.key))
                self._down.add(pressed[-1])
            elif event.type == pygame.KEYUP:
                self._down.discard(pygame.key.name(event.key))
            elif event.type == pygame.WINDOWFOCUSLOST:  # their release was not seen
                self._down.clear()
        return Keys(frozenset(self._down) | {*pressed}, tuple(pressed))


def with_warning(picture: Frame, rate: float, wanted: float) -> Frame:
    """A copy of the picture with the actual and the wanted rate."""
    shown = picture.copy()
    text = f"slow: {rate:.0f} of {wanted:.0f} frames/s"
    pill(shown, text, (shown.shape[1] - text_width(text) // 2 - 30, len(shown) - 66), WARNING)
    return shown


def with_help(picture: Frame, lines: Sequence[HelpLine]) -> Frame:
    """The darkened picture with a box of the keys and their meanings."""
    shown = (picture * 0.35).astype(np.uint8)
    keys = max(text_width(key, bold=True) for key, _ in lines)
    width = keys + max(text_width(what) for _, what in lines) + 72
    height = ROW * len(lines) + 56
    left, top = max(0, (shown.shape[1] - width) // 2), max(0, (shown.shape[0] - height) // 2)
    cv2.rectangle(shown, (left, top), (left + width, top + height), RAISED, -1)
    cv2.rectangle(shown, (left, top), (left + width, top + height), FAINT, 1)
    for number, (key, what) in enumerate(lines):
        y = top + 36 + ROW * number
        write(shown, key, (left + 24 + keys, y), PRESSED, bold=True, align="right")
        write(shown, what, (left + 48 + keys, y))
    write(shown, "any key continues", (left + width // 2, top + height - 10), QUIET, size=11, align="centre")
    return shown


def pill(canvas: Frame, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Draw a short message on a dark ground into the canvas, its upper edge centred at (x, y)."""
    width = text_width(text) + 28
    left, top = max(0, at[0] - width // 2), max(0, at[1])
    cv2.rectangle(canvas, (left, top), (left + width, top + 26), BACKGROUND, -1)
    cv2.rectangle(canvas, (left, top), (left + width, top + 26), colour, 1)
    write(canvas, text, (left + 14, top + 18), colour)
