"""A window for a player: pictures onto the screen, keys from the keyboard, at the true rate."""

from __future__ import annotations

import numpy as np
import pygame

from racing_vpt.agents.key_controls import Keys
from racing_vpt.play.player import Screen


def show(screen: Screen) -> None:
    """Run until the person closes the window, or presses escape."""
    pygame.display.init()
    try:
        clock, keys, down = pygame.time.Clock(), Keys(), set[str]()
        window: pygame.Surface | None = None
        while not screen.over:
            picture = np.swapaxes(screen.step(keys), 0, 1)
            if window is None or window.get_size() != picture.shape[:2]:
                window = pygame.display.set_mode(picture.shape[:2])
            pygame.surfarray.blit_array(window, picture)
            pygame.display.flip()
            rate = f"{clock.get_fps():.0f} of {screen.frames_per_second:.4g} frames a second"
            pygame.display.set_caption(f"racing-vpt play: {screen.help}; {rate}")
            clock.tick(screen.frames_per_second)
            keys = keys_used(down)
    finally:
        pygame.display.quit()


def keys_used(down: set[str]) -> Keys:
    """What happened on the keyboard since the last call; `down` are the keys that are held, and is kept up to date."""
    pressed: list[str] = []
    for event in pygame.event.get():
        if event.type == pygame.QUIT:
            pressed.append("escape")
        elif event.type == pygame.KEYDOWN:
            pressed.append(pygame.key.name(event.key))
            down.add(pressed[-1])
        elif event.type == pygame.KEYUP:
            down.discard(pygame.key.name(event.key))
        elif event.type == pygame.WINDOWFOCUSLOST:  # nobody will tell that they were released
            down.clear()
    return Keys(frozenset(down) | {*pressed}, tuple(pressed))
