"""A program in a window as an environment: started, brought through its menus, driven by keys, and ended.

Its game file says how (`games/screen.py`); `make_env("screen:torcs")` makes it, `screen:torcs?track=aalborg` with one
of its choices. Pictures are those of the window, uint8 [H, W, 3]. A program knows no rewards: they are 0.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import gymnasium
import numpy as np
from gymnasium import spaces

from racing_vpt.envs.key_presses import KeyPresses
from racing_vpt.frames import resize
from racing_vpt.games.read import SCREEN, load_game
from racing_vpt.screen.installed import check_installed, check_programs, display_name
from racing_vpt.types import Frame

STARTING_SECONDS = 60.0  # for the window to appear
SEEDS = 2**31


class ScreenGame(gymnasium.Env):
    """A game in a window.

    Args:
        id: `screen:GAME`, with the name or the file of the game, and `?NAME=VALUE&...` for its choices.
        max_episode_steps: longest episode in frames; None: as the game file says.

    Raises:
        ValueError: the game names no program, or something is not installed; the message says what.
    """

    def __init__(self, id: str, max_episode_steps: int | None = None) -> None:
        check_installed()
        place, _, query = id.removeprefix(SCREEN).partition("?")
        self.game = load_game(place)
        screen = self.game.screen
        if screen is None or not screen.program.command:
            raise ValueError(f"the file of the game {self.game.name} says nothing about how it is started in a window")
        if not self.game.keys:
            raise ValueError(f"the file of the game {self.game.name} names no keys, by which it could be driven")
        self.screen, self.chosen = screen, dict(parse_qsl(query, strict_parsing=bool(query)))
        from racing_vpt.screen.game_process import check_program, choose

        check_program(screen.program)
        choose(screen.program, 0, self.chosen)
        if screen.display == "own":
            check_programs("Xvfb")
        rate = self.game.frames.frames_per_second
        self.metadata = {"render_modes": [], "render_fps": rate}
        self.interval, self.max_episode_steps = 1 / rate, max_episode_steps
        self.presses = KeyPresses(self.game)
        limits = self.game.scheme("controls").limits
        low, high = (np.array([limits[name][end] for name in self.game.control_names], np.float32) for end in (0, 1))
        self.action_space = spaces.Box(low, high, dtype=np.float32)
        width, height = screen.size
        self.observation_space = spaces.Box(0, 255, (height, width, 3), np.uint8)
        self._open: ExitStack | None = None

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Frame, dict[str, Any]]:
        """Start the game anew, and go through its menus.

        Raises:
            ValueError: it does not start, or its menus do not answer; the message has its own last words.
        """
        super().reset(seed=seed)
        self.close()
        self.seed = int(self.np_random.integers(SEEDS)) if seed is None else seed
        with ExitStack() as stack:
            self._start(stack)
            self._open = stack.pop_all()
        self.presses.reset()
        self.frames, self.still_since, self.last = 0, 0, self._look()
        self.clock.restart()
        return self.last, self._info()

    def step(self, action: np.ndarray) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        """Hold the keys of the controls for a frame.

        Args:
            action: float32 [controls], in the order of the game's `control_names`.
        """
        assert self._open is not None, "call reset() first"
        values = np.asarray(action, np.float64)
        if values.shape != self.action_space.shape or not np.isfinite(values).all():
            raise ValueError(f"action {action!r}: expected {len(self.game.control_names)} finite numbers")
        focused = self.window.has_focus()
        controls = dict(zip(self.game.control_names, values.tolist(), strict=True))
        self.presser.hold(self.presses.held(controls) if focused else ())  # keys must not reach another program
        self.clock.step(self.interval, self.draws)
        self.frames += 1
        closed = not self.process.runs or self.window.place() is None
        frame = self.last if closed else self._look()
        if not np.array_equal(frame, self.last):
            self.still_since = self.frames
        self.last = frame
        end, info = self.screen.end, self._info()
        over = closed or bool(end.file and glob(self.process.filled(end.file)))
        seconds, still = self.frames * self.interval, (self.frames - self.still_since) * self.interval
        limit = seconds >= end.seconds or self.frames == self.max_episode_steps
        truncated = not focused or limit or 0 < end.still_seconds <= still
        if over or truncated:
            self.presser.hold(())
            info |= {"results": self._results(), "closed": closed, "focus_lost": not focused}
            info["lap_finished"] = info["results"].get("laps", 0) >= 1
        return frame, 0.0, over, truncated and not over, info

    def to_action(self, controls: Mapping[str, float]) -> np.ndarray:
        """The action for controls by name; ValueError if one is missing, unknown or out of range."""
        unknown = sorted(controls.keys() - {*self.game.control_names})
        if unknown:
            raise ValueError(
                f"{self.game.name} has no control {unknown[0]}; it has {', '.join(self.game.control_names)}"
            )
        self.game.scheme("controls").check(controls)
        return np.array([controls[name] for name in self.game.control_names], np.float32)

    def close(self) -> None:
        """End the game, and release all keys."""
        if self._open is not None:
            opened, self._open = self._open, None
            opened.close()

    def _start(self, stack: ExitStack) -> None:
        from racing_vpt.screen.capture import Capture
        from racing_vpt.screen.display import open_display
        from racing_vpt.screen.draws import Draws
        from racing_vpt.screen.game_clock import RealClock, StepClock
        from racing_vpt.screen.game_process import GameProcess, choose
        from racing_vpt.screen.menu import go_through
        from racing_vpt.screen.own_display import OwnDisplay
        from racing_vpt.screen.press import Presser

        screen, (width, height) = self.screen, self.screen.size
        own = stack.enter_context(OwnDisplay(width, height)) if screen.display == "own" else None
        display = display_name() if own is None else own.name
        keys = {key for each in self.game.keys.values() for key in each.all} | {step.press for step in screen.menu}
        self.presser = stack.enter_context(Presser(display, sorted(keys - {""})))
        if own is not None:
            self.presser.watchdog.tell(f"kill {own.process.pid}")
        self.clock = StepClock() if screen.clock == "steps" else RealClock()
        stack.callback(self.clock.close)
        self.choice = choose(screen.program, self.seed, self.chosen)
        values = {**self.choice, "seed": str(self.seed), "width": str(width), "height": str(height)}
        self.process = GameProcess(screen.program, display, values, self.clock.environment)
        group = self.process.process.pid
        stack.callback(self.presser.watchdog.tell, f"done {group}")
        stack.callback(self.process.close)
        self.presser.watchdog.tell(f"kill {group}")
        connection = open_display(display)
        stack.callback(connection.close)
        self.capture = stack.enter_context(Capture(display))
        self.window = self._wait_for_window(connection)
        self.window.take_focus()
        self.draws = None if self.window.window is None else Draws(display, self.window)
        if self.draws is not None:
            stack.callback(self.draws.close)
        wait = partial(self.clock.wait, draws=self.draws)
        for number, step in enumerate(screen.menu, 1):
            try:
                place = self.window.place()
                assert place is not None
                go_through(step, f"step {number}", self._look, self.presser, place, wait)
            except (ValueError, AssertionError) as error:
                raise ValueError(f"{self.game.name}: {error}; its last words: {self.process.last_words()}") from error

    def _wait_for_window(self, connection: Any) -> Any:
        from racing_vpt.screen.windows import window_of

        until = time.monotonic() + STARTING_SECONDS
        while True:
            try:
                return window_of(connection, self.screen)
            except ValueError as error:
                if self.process.runs and time.monotonic() < until:
                    self.clock.wait(0.05)
                    continue
                what = "shows no such window" if self.process.runs else "has ended"
                raise ValueError(
                    f"{self.game.name} did not start: it {what} ({error}); its last words: {self.process.last_words()}"
                ) from error

    def _look(self) -> Frame:
        place = self.window.place()
        frame = None if place is None else self.capture.take(place)
        if frame is None:
            raise ValueError(f"the window of {self.game.name} was closed, or left the screen")
        width, height = self.screen.size
        return frame if frame.shape[:2] == (height, width) else resize(frame, height, width, "letterbox")

    def _info(self) -> dict[str, Any]:
        return {"time": self.frames * self.interval, "late": self.clock.num_late, "choice": dict(self.choice)}

    def _results(self) -> dict[str, float]:
        files = sorted(glob(self.process.filled(self.screen.end.file))) if self.screen.end.file else []
        text = Path(files[-1]).read_text(errors="replace") if files else ""
        found = {name: re.search(pattern, text) for name, pattern in self.screen.end.results.items()}
        return {name: float(match[1]) for name, match in found.items() if match}
