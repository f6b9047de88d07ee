"""What a window shows, whatever it is: somebody who drives, recordings to leaf through, labels beside a video."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Protocol

from racing_vpt.types import Frame
from racing_vpt.window.window import HelpLine, Keys, Window


class Screen(Protocol):
    """Pictures out of keys, one at a time."""

    over: bool  # whether the person has ended it

    @property
    def help(self) -> Sequence[HelpLine]:
        """Which keys do what, besides those of every window."""

    @property
    def frames_per_second(self) -> float:
        """How often `step` is to be called."""

    def step(self, keys: Keys) -> Frame:
        """What is seen after a frame in which these keys were used, uint8 [H, W, 3], both even."""

    def close(self) -> None:
        """Keep what is to be kept."""


def show(screen: Screen, title: str = "racing-vpt") -> None:
    """Show it in a window until the person closes that, or presses Escape or q."""
    keys = Keys()
    with closing(Window(title)) as window:
        while not screen.over:
            keys = window.show(screen.step(keys), screen.frames_per_second, screen.help)
