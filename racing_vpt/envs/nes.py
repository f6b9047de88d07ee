"""Games of the NES (extra `[nes]`: the emulator cynes) as environments that take controls by name.

An id is `nes:GAME`, whose file brings its ROM (`nes-road`), or `nes:GAME@ROM` with the user's own. The game file says
which buttons start an episode, and which bytes of the console's memory are its score and its end (`games/console.py`).
Every reset returns to one saved state, so that an episode is a function of its seed and of the buttons.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

from racing_vpt.envs.offers import GameEnv
from racing_vpt.games.console import BUTTONS, NES, Condition, Number, Press
from racing_vpt.games.game import Game
from racing_vpt.games.read import file_of, load_game
from racing_vpt.types import Frame

HEIGHT, WIDTH = 240, 256
CONSOLE_FRAMES_PER_SECOND = 60.0988  # of the NTSC console
LONGEST = 36_000  # frames of the console until truncation: ten minutes
INSTALL = "pip install '.[nes]' in a checkout of racing-vpt"
MAPPERS = {  # of cynes 0.1.2
    0: "NROM", 1: "MMC1", 2: "UxROM", 3: "CNROM", 4: "MMC3", 7: "AxROM", 9: "MMC2", 10: "MMC4", 66: "GxROM",
    71: "Camerica",
}  # fmt: skip
BITS = {"right": 1, "left": 2, "down": 4, "up": 8, "start": 16, "select": 32, "b": 64, "a": 128}  # cynes' controller
HEADER_BYTES = 16


class NesGame(gymnasium.Env):
    """A game of the console. Frames are uint8 [240, 256, 3], actions 0 or 1 for each of `BUTTONS`.

    Args:
        game: the game; its `console` says how it is started, rewarded and ended.
        rom: the image of its cartridge.
        render_mode: `rgb_array`, or None.

    Raises:
        ValueError: cynes is not installed, the game file has no console, or the image is none that cynes can play.
        FileNotFoundError: there is no such image.
    """

    def __init__(self, game: Game, rom: Path, render_mode: str | None = None) -> None:
        if game.console is None:
            raise ValueError(f"the file of the game {game.name} has no `console`, which says how a NES game is played")
        check_rom(rom)
        self.game, self.console, self.render_mode = game, game.console, render_mode
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": round(CONSOLE_FRAMES_PER_SECOND / self.console.frame_skip, 4),
        }
        self.observation_space = spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        self.action_space = spaces.MultiBinary(len(BUTTONS))
        self.nes = emulator(rom)
        self.hold(self.console.boot)
        self.booted = self.nes.save()
        self.frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        self.held, self.scores = 0, [0.0] * len(self.console.reward)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        """As gymnasium's; without a seed, the game's is drawn by chance.

        Args:
            seed: written to the game's memory where its file says, and that of sticky buttons.
            options: `state`, uint8 [N] of `save_state`: the state to start from, instead of that after `boot`; the
                game's own seed and `begin` are then left out.
        """
        super().reset(seed=seed)
        state = (options or {}).get("state")
        self.nes.load(self.booted if state is None else np.asarray(state, np.uint8))
        self.held = 0
        if state is None:
            self.write_seed(int(self.np_random.integers(1 << 16)) if seed is None else seed)
            self.hold(self.console.begin)
        self.show(self.nes.step(1))
        self.scores = self.read_scores()
        return self.frame, {}

    def step(self, action: np.ndarray) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        """As gymnasium's: the buttons are held for `frame_skip` frames of the console."""
        pressed = np.asarray(action)
        if pressed.shape != (len(BUTTONS),) or not np.isin(pressed, (0, 1)).all():
            raise ValueError(f"action {action!r}: expected 0 or 1 for each of {', '.join(BUTTONS)}")
        if not self.console.sticky or self.np_random.random() >= self.console.sticky:
            self.held = sum(BITS[button] for button, on in zip(BUTTONS, pressed, strict=True) if on)
        self.nes.controller = self.held
        self.show(self.nes.step(self.console.frame_skip))
        if self.nes.has_crashed:
            raise RuntimeError(
                f"the processor of the console met an invalid instruction; {self.game.name} cannot go on"
            )
        before, self.scores = self.scores, self.read_scores()
        return self.frame, sum(self.scores) - sum(before), self.is_over(), False, {}

    def to_action(self, controls: Mapping[str, float]) -> np.ndarray:
        """The action for controls by name, as `action_for`."""
        return action_for(self.game, controls)

    def render(self) -> Frame | None:  # type: ignore[override]
        return self.frame if self.render_mode == "rgb_array" else None

    def save_state(self) -> np.ndarray:
        """The state of the console, uint8 [N], for `reset(options={"state": ...})`."""
        return self.nes.save()

    def read(self, number: Number) -> int:
        """A number in the console's memory, without its weight."""
        return sum(self.nes[number.address + place] << 8 * place for place in range(number.bytes))

    def read_scores(self) -> list[float]:
        """The weighted numbers whose changes are the reward."""
        return [number.weight * self.read(number) for number in self.console.reward]

    def is_over(self) -> bool:
        """Whether the game file says that the episode has ended."""
        return any(self.is_met(condition) for condition in self.console.over)

    def is_met(self, condition: Condition) -> bool:
        return self.read(condition.number) in condition.values

    def write_seed(self, seed: int) -> None:
        place = self.console.seed
        if place is not None:
            for byte in range(place.bytes):
                self.nes[place.address + byte] = (seed >> 8 * byte) & 0xFF

    def hold(self, presses: tuple[Press, ...]) -> None:
        """Hold buttons one after the other."""
        for press in presses:
            self.nes.controller = sum(BITS[button] for button in press.hold)
            self.nes.step(press.frames)
        self.nes.controller = 0

    def show(self, picture: np.ndarray) -> None:
        """Keep a copy of the emulator's picture, which it overwrites."""
        self.frame = picture.copy()


def action_for(game: Game, controls: Mapping[str, float]) -> np.ndarray:
    """The action for controls by name: int8 [8]; buttons that the game has no controls for are released.

    Raises:
        ValueError: a control is missing, unknown or not between 0 and 1.
    """
    named = game.control_names
    if controls.keys() != {*named}:
        raise ValueError(f"{game.name} has the buttons {', '.join(named)}, but {sorted(controls)} were given")
    wrong = {name: value for name, value in controls.items() if not 0 <= value <= 1}  # also for NaN
    if wrong:
        raise ValueError(f"buttons are numbers from 0 to 1, but these were given: {wrong}")
    return np.array([controls.get(button, 0) > 0.5 for button in BUTTONS], np.int8)


def make_nes(id: str, render_mode: str | None = None, max_episode_steps: int | None = None) -> GameEnv:
    """The environment of an id such as `nes:nes-road` or `nes:nes@my.nes`.

    Raises:
        ValueError: there is no ROM, or it cannot be played; an unknown render mode.
        FileNotFoundError: there is no such game or image.
    """
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"{id} is rendered as rgb_array, but {render_mode!r} was asked for")
    name, _, given = id.removeprefix(NES).partition("@")
    game = load_game(name)
    rom = rom_of(game, name, given)
    env = NesGame(game, rom, render_mode)
    longest = max_episode_steps or -(-LONGEST // env.console.frame_skip)
    return GameEnv(TimeLimit(env, longest))


def rom_of(game: Game, name: str, given: str) -> Path:
    """The image to play: the given one, or that of the game file."""
    if given:
        return Path(given)
    if game.console is None or game.console.rom is None:
        raise ValueError(f"the game {game.name} comes without a ROM; give your own with --rom FILE.nes")
    return file_of(name).parent / game.console.rom


def check_rom(rom: Path) -> None:
    """Raise unless a file is an iNES image with a mapper that cynes has.

    The format: https://www.nesdev.org/wiki/INES
    """
    if not rom.is_file():
        raise FileNotFoundError(f"there is no ROM {rom}; give the path of an iNES image with --rom FILE.nes")
    content = rom.read_bytes()
    if len(content) < HEADER_BYTES or content[:4] != b"NES\x1a":
        raise ValueError(
            f"{rom} is no iNES image: it begins with {content[:4]!r}, and an image with {b'NES' + bytes([26])!r}"
        )
    version2 = content[7] & 0x0C == 0x08
    mapper = content[6] >> 4 | content[7] & 0xF0
    if version2:
        mapper |= (content[8] & 0x0F) << 8
    if mapper not in MAPPERS:
        known = ", ".join(f"{number} ({name})" for number, name in MAPPERS.items())
        raise ValueError(f"{rom} needs mapper {mapper}, which the emulator cynes lacks; it has {known}")
    wanted = HEADER_BYTES + (512 if content[6] & 4 else 0) + content[4] * 16384 + content[5] * 8192
    if not content[4] or len(content) < wanted:
        raise ValueError(f"{rom} has {len(content)} bytes, but its header promises {wanted}; it is cut off")


def emulator(rom: Path) -> Any:
    """cynes' console with a cartridge.

    Raises:
        ValueError: cynes is not installed, or refuses the image.
    """
    try:
        from cynes import NES as Emulator  # noqa: N811 - a name of ours is NES
    except ModuleNotFoundError as error:
        raise ValueError(f"NES games need the emulator cynes ({error}); install it with: {INSTALL}") from error
    try:
        return Emulator(str(rom))
    except (RuntimeError, UnicodeDecodeError) as error:  # the latter from its message about the mapper
        raise ValueError(f"cynes cannot play {rom}: {error}") from error
