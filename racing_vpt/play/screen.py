"""Interface of everything that a window can show: a player, a browser of recordings, a viewer of labels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Protocol

from racing_vpt.types import Frame
from racing_vpt.window.window import HelpLine, Keys, Window


class Screen(Protocol):
    """Keys in, pictures out, one per step."""

    over: bool  # whether the person has closed it

    @property
    def help(self) -> Sequence[HelpLine]:
        """Keys and their meanings, besides those of every window."""

    @property
    def frames_per_second(self) -> float:
        """Rate at which `step` must be called."""

    def step(self, keys: Keys) -> Frame:
        """Handle the keys of a frame; returns the next picture, uint8 [H, W, 3], both even."""

    def close(self) -> None:
        """Finish and save recordings."""


def show(screen: Screen, title: str = "racing-vpt") -> None:
    """Show a screen in a window until it is closed, or Escape or q is pressed."""
    keys = Keys()
    with closing(Window(title)) as window:
        while not screen.over:
            keys = window.show(screen.step(keys), screen.frames_per_second, screen.help)
