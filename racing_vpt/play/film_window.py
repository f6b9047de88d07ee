"""A film in a window: played, stopped and stepped through by keys."""

from __future__ import annotations

import numpy as np
import pygame

from racing_vpt.play.labelled_film import LabelledFilm

SLOWEST, FASTEST = 1 / 16, 16.0
HELP = "space: stop and go; left, right: a frame; page up, down: a second; up, down: speed; home; escape"


class Player:
    """Which frame is shown.

    Args:
        num_frames: of the film.
        frames_per_second: of the film.
        speed: how many times as fast as it was.
        first_frame: where it starts.
    """

    def __init__(self, num_frames: int, frames_per_second: float, speed: float = 1.0, first_frame: int = 0) -> None:
        self.num_frames, self.rate, self.speed = num_frames, frames_per_second, speed
        self.place, self.plays, self.over = float(first_frame), True, False

    @property
    def index(self) -> int:
        return int(self.place)

    def advance(self, seconds: float) -> None:
        """Time passes; the film stops at its last frame."""
        if self.plays:
            self.place = min(self.place + seconds * self.rate * self.speed, self.num_frames - 1)
            self.plays = self.index < self.num_frames - 1

    def press(self, key: int) -> None:
        """Do what a key (pygame's number) is for."""
        steps = {
            pygame.K_RIGHT: 1,
            pygame.K_LEFT: -1,
            pygame.K_PAGEDOWN: round(self.rate),
            pygame.K_PAGEUP: -round(self.rate),
            pygame.K_HOME: -self.num_frames,
            pygame.K_END: self.num_frames,
        }
        if key in (pygame.K_ESCAPE, pygame.K_q):
            self.over = True
        elif key == pygame.K_SPACE:
            self.plays = not self.plays
            if self.plays and self.index == self.num_frames - 1:
                self.place = 0.0
        elif key in (pygame.K_UP, pygame.K_DOWN):
            self.speed = min(FASTEST, max(SLOWEST, self.speed * (2 if key == pygame.K_UP else 0.5)))
        elif key in steps:
            self.plays = False
            self.place = float(min(max(self.index + steps[key], 0), self.num_frames - 1))


def show(film: LabelledFilm, frames_per_second: float, speed: float = 1.0, first_frame: int = 0) -> None:
    """Show the film until the person closes the window."""
    player = Player(len(film), frames_per_second, speed, first_frame)
    height, width = film.shape
    pygame.display.init()
    try:
        screen, clock, shown = pygame.display.set_mode((width, height)), pygame.time.Clock(), -1
        while not player.over:
            for event in pygame.event.get():
                if event.type == pygame.QUIT:
                    player.over = True
                if event.type == pygame.KEYDOWN:
                    player.press(event.key)
            if player.index != shown:
                shown = player.index
                pygame.surfarray.blit_array(screen, np.swapaxes(film.picture(shown), 0, 1))
                pygame.display.flip()
            pygame.display.set_caption(f"{player.speed:g} times as fast; {HELP}")
            player.advance(clock.tick(60) / 1000)
    finally:
        pygame.display.quit()
