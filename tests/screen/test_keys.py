"""Keys are read in the frame in which they were held, pressed for real, and released whatever happens to us."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from racing_vpt.screen.calibration import measure_timing
from racing_vpt.screen.display import open_display
from racing_vpt.screen.held_keys import KeyEvent, KeyFrames
from racing_vpt.screen.key_names import keycode


def held(*events: tuple[str, bool, float], down: set[str] | None = None, frames: int = 4) -> list[set[str]]:
    """Keys held in frames of one second."""
    found = KeyFrames(down or set())
    for event in events:
        found.add(KeyEvent(*event))
    return [set(found.until(frame, frame + 1).held) for frame in range(frames)]


def test_a_key_counts_in_the_frames_of_which_it_is_held_half() -> None:
    assert held(("a", True, 0.4), ("a", False, 2.4)) == [{"a"}, {"a"}, set(), set()]
    assert held(("a", True, 0.6), ("a", False, 2.6)) == [set(), {"a"}, {"a"}, set()]
    assert held(("a", False, 1.1), down={"a"}) == [{"a"}, set(), set(), set()]


def test_a_press_too_short_for_any_frame_counts_in_the_one_in_which_it_ends() -> None:
    assert held(("a", True, 0.1), ("a", False, 0.2)) == [{"a"}, set(), set(), set()]
    assert held(("a", True, 0.8), ("a", False, 1.2)) == [set(), {"a"}, set(), set()]
    assert held(("a", True, 0.1), ("a", False, 0.2), ("a", True, 1.3), ("a", False, 1.4))[:2] == [{"a"}, {"a"}]


def test_an_unknown_key_is_answered_with_the_nearest(display: str) -> None:
    connection = open_display(display)
    assert keycode(connection, "left") == keycode(connection, "Left")
    with pytest.raises(ValueError, match="no key 'lefft'; did you mean left"):
        keycode(connection, "lefft")
    connection.close()


def test_the_calibration_finds_each_key_event_in_the_pictures(display: str) -> None:
    timing = measure_timing(display, seconds=3, frames_per_second=5, press=True)  # slow, for busy machines
    assert timing.unseen == 0
    assert len(timing.errors) >= 3
    assert sorted(map(abs, timing.errors))[len(timing.errors) // 2] <= 1, timing


def test_a_killed_process_leaves_no_key_pressed_and_no_game_running(display: str) -> None:
    program = f"""
import subprocess, time
from racing_vpt.screen.press import Presser
presser = Presser({display!r}, ["up", "left"])
game = subprocess.Popen(["sleep", "100"], start_new_session=True)
presser.watchdog.tell(f"kill {{game.pid}}")
presser.hold(["up", "left"])
print(game.pid, flush=True)
time.sleep(100)
"""
    connection = open_display(display)
    codes = [keycode(connection, name) for name in ("up", "left")]

    def pressed() -> list[bool]:
        keys = connection.query_keymap()
        return [bool(keys[code // 8] >> code % 8 & 1) for code in codes]

    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        game = int(process.stdout.readline())
        assert pressed() == [True, True]
        process.send_signal(signal.SIGKILL)
        process.wait()
    until = time.monotonic() + 20
    while (any(pressed()) or is_running(game)) and time.monotonic() < until:
        time.sleep(0.02)
    assert pressed() == [False, False]
    assert not is_running(game)
    connection.close()


def is_running(process: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
