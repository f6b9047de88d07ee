"""A person at the keyboard, with the picture in a window: to try the environments, and to record oneself."""

from __future__ import annotations

import cv2
import gymnasium
import numpy as np
import pygame

from racing_vpt.agents.key_controls import KeyControls, key_controls
from racing_vpt.agents.solo import SoloAgent
from racing_vpt.envs.make import has_display
from racing_vpt.games.controls import CARRACING_CONTROLS, control_scheme
from racing_vpt.types import Controls, Frame

ROWS = 768  # to which a picture is enlarged, about


class KeyboardAgent(SoloAgent):
    """Arrow keys or WASD steer, accelerate and brake; space brakes too; Escape or closing the window ends the driving.
    In Atari's games they are the joystick, and space its button.

    Args:
        scale: how many times the picture is enlarged; None: to about 768 rows.
        frames_per_second: pace of the game, less than the real one is easier; None: CarRacing's, until it is attached
            to another environment.
    """

    def __init__(self, scale: int | None = None, frames_per_second: float | None = None) -> None:
        super().__init__()
        if not has_display():
            raise ValueError("the keyboard agent opens a window, but no display was found; set DISPLAY")
        self.scale, self.slowed = scale, frames_per_second
        self.frames_per_second = frames_per_second or 50.0
        self.names: tuple[str, ...] = CARRACING_CONTROLS
        self.screen: pygame.Surface | None = None
        self.reset()

    def reset(self) -> None:
        self.keys = self.keys_of(self.names)
        self.pressed: set[str] = set()

    def attach(self, env: gymnasium.Env) -> None:
        """Drive in this environment; ValueError where there are no keys for its controls."""
        scheme = control_scheme(env.control_scheme)  # type: ignore[attr-defined]
        self.keys, self.names = self.keys_of(scheme.controls), scheme.controls
        self.frames_per_second = self.slowed or float(env.metadata.get("render_fps", 50))

    @staticmethod
    def keys_of(names: tuple[str, ...]) -> KeyControls:
        keys = key_controls(names)
        if keys is None:
            raise ValueError(f"there are no keys for these controls: {', '.join(names[:6])}; choose another --env")
        return keys

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
        scale = self.scale or max(1, round(ROWS / frame.shape[0]))
        size = (frame.shape[1] * scale, frame.shape[0] * scale)
        if self.screen is None:
            pygame.display.init()
            self.screen = pygame.display.set_mode(size)
            self.clock = pygame.time.Clock()
            pygame.display.set_caption("racing-vpt: arrow keys or WASD, Escape to stop")
        picture = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)
        pygame.surfarray.blit_array(self.screen, np.swapaxes(picture, 0, 1))
        pygame.display.flip()
        self.clock.tick(self.frames_per_second)
