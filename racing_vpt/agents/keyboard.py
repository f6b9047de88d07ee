"""A person at the keyboard, with the picture in a window: to try the environments, and to record oneself."""

from __future__ import annotations

import cv2
import numpy as np
import pygame

from racing_vpt.agents.key_controls import KeyControls
from racing_vpt.agents.solo import SoloAgent
from racing_vpt.envs.make import has_display
from racing_vpt.types import Controls, Frame


class KeyboardAgent(SoloAgent):
    """Arrow keys or WASD steer, accelerate and brake; space brakes too; Escape or closing the window ends the driving.

    Args:
        scale: how many times the picture is enlarged.
        frames_per_second: pace of the game; 50 is the real one, less is easier.
    """

    def __init__(self, scale: int = 8, frames_per_second: float = 50.0) -> None:
        super().__init__()
        if not has_display():
            raise ValueError("the keyboard agent opens a window, but no display was found; set DISPLAY")
        self.scale, self.frames_per_second = scale, frames_per_second
        self.screen: pygame.Surface | None = None
        self.reset()

    def reset(self) -> None:
        self.keys = KeyControls()
        self.pressed: set[str] = set()

    def act(self, frame: Frame) -> Controls:
        """Shows the frame, waits for its time, and reads the keys; KeyboardInterrupt where the person ends it."""
        self.show(frame)
        for event in pygame.event.get():
            if event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE):
                pygame.display.quit()
                raise KeyboardInterrupt
            if event.type == pygame.KEYDOWN:
                self.pressed.add(pygame.key.name(event.key))
            elif event.type == pygame.KEYUP:
                self.pressed.discard(pygame.key.name(event.key))
        return self.keys.controls(self.pressed)

    def show(self, frame: Frame) -> None:
        """Draw the frame uint8 [H, W, 3] into the window."""
        size = (frame.shape[1] * self.scale, frame.shape[0] * self.scale)
        if self.screen is None:
            pygame.display.init()
            self.screen = pygame.display.set_mode(size)
            self.clock = pygame.time.Clock()
            pygame.display.set_caption("racing-vpt: arrow keys or WASD, Escape to stop")
        picture = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)
        pygame.surfarray.blit_array(self.screen, np.swapaxes(picture, 0, 1))
        pygame.display.flip()
        self.clock.tick(self.frames_per_second)
