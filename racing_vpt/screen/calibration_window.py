"""A window that draws a code of the pressed keys into its own picture, to measure the timing of recordings by.

Each of `KEYS` has a square of `SQUARE` pixels, white while the key is held; run as a program, it ends on Escape.
"""

from __future__ import annotations

import sys

import numpy as np
from Xlib import X

from racing_vpt.screen.display import open_display
from racing_vpt.screen.key_names import keycode
from racing_vpt.types import Frame

TITLE = "racing-vpt calibration"
KEYS = ("up", "down", "left", "right")
SQUARE = 24  # pixels


def run(display_name: str) -> None:
    """Show the window until Escape is pressed or it is closed."""
    display = open_display(display_name)
    screen = display.screen()
    window = screen.root.create_window(
        20, 20, SQUARE * len(KEYS), SQUARE, 0, screen.root_depth,
        background_pixel=screen.black_pixel, event_mask=X.KeyPressMask | X.KeyReleaseMask | X.ExposureMask,
    )  # fmt: skip
    window.set_wm_name(TITLE)
    brush = window.create_gc(foreground=screen.white_pixel)
    places = {keycode(display, key): index * SQUARE for index, key in enumerate(KEYS)}
    last = keycode(display, "escape")
    window.map()
    display.sync()
    print("ready", flush=True)
    while True:
        event = display.next_event()
        if event.type in (X.KeyPress, X.KeyRelease) and event.detail in places:
            brush.change(foreground=screen.white_pixel if event.type == X.KeyPress else screen.black_pixel)
            window.fill_rectangle(brush, places[event.detail], 0, SQUARE, SQUARE)
            display.flush()
        elif event.type == X.KeyPress and event.detail == last:
            return


def keys_shown(frame: Frame) -> frozenset[str]:
    """Keys that a picture uint8 [H, W, 3] of the window, of any size, shows as held."""
    height, width = frame.shape[:2]
    columns = ((np.arange(len(KEYS)) + 0.5) * width / len(KEYS)).astype(int)
    return frozenset(key for key, column in zip(KEYS, columns, strict=True) if frame[height // 2, column].mean() > 127)


if __name__ == "__main__":
    run(sys.argv[1])
