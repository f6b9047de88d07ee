"""How a game of the NES is played on an emulated console: the `console` part of a game file.

Which bytes of the console's memory hold scores and ends, and which buttons lead to the first frame, differ from game to
game, so that the file says them and `envs/nes.py` knows none. Numbers are little-endian, as the console's processor
writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from racing_vpt.games.forms import near, read_mapping, read_names

NES = "nes:"  # prefix of the ids of console games: nes:GAME or nes:GAME@ROM
BUTTONS = ("up", "down", "left", "right", "a", "b", "start", "select")
RAM_BYTES = 2048  # of the console; cartridges may add some from $6000 to $7FFF
CARTRIDGE_RAM = range(0x6000, 0x8000)
LONGEST_PRESS = 36_000  # console frames: ten minutes


@dataclass(frozen=True)
class Number:
    """A number in memory.

    Args:
        address: address of its lowest byte, such as 0x0303.
        bytes: its length, 1 to 4.
        weight: factor on it.
    """

    address: int
    bytes: int = 1
    weight: float = 1.0

    def __post_init__(self) -> None:
        last = self.address + self.bytes - 1
        there = (self.address >= 0 and last < RAM_BYTES) or {self.address, last} <= {*CARTRIDGE_RAM}
        if not 1 <= self.bytes <= 4 or not there:
            raise ValueError(
                f"a number in memory has 1 to 4 bytes between 0x0000 and 0x07FF, or 0x6000 and 0x7FFF; given: {self}"
            )


@dataclass(frozen=True)
class Press:
    """Buttons held for some frames of the console.

    Args:
        frames: how long.
        hold: the buttons; none: released.
    """

    frames: int
    hold: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = [button for button in self.hold if button not in BUTTONS]
        if unknown:
            raise ValueError(
                f"the console has no button {unknown[0]}{near(unknown[0], BUTTONS)}; it has {', '.join(BUTTONS)}"
            )
        if not 1 <= self.frames <= LONGEST_PRESS:
            raise ValueError(f"buttons are held for 1 to {LONGEST_PRESS} frames, but {self.frames} were given")


@dataclass(frozen=True)
class Condition:
    """True while a number in memory has one of some values.

    Args:
        number: the number.
        values: the values.
    """

    number: Number
    values: tuple[int, ...]


@dataclass(frozen=True)
class Console:
    """How a game is started, rewarded and ended.

    Args:
        rom: the game's image, relative to the game file; None: the user's own, `--rom FILE.nes`.
        frame_skip: frames of the console for which buttons are held; 60.1 a second.
        sticky: probability that the buttons of the frames before are held once more instead of the given ones
            (sticky actions, Machado et al. 2018, arXiv:1709.06009).
        boot: buttons after power-on; resets return to the state after them.
        seed: where a reset writes its seed (the lowest bytes of it), for a game that can use one; None: nowhere.
        begin: buttons between that and an episode's first frame.
        reward: numbers whose changes, weighted, are the reward.
        over: conditions of which any ends an episode.
    """

    rom: str | None = None
    frame_skip: int = 1
    sticky: float = 0.0
    boot: tuple[Press, ...] = ()
    seed: Number | None = None
    begin: tuple[Press, ...] = ()
    reward: tuple[Number, ...] = ()
    over: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.frame_skip <= 60 or not 0 <= self.sticky < 1:
            raise ValueError(
                f"frame_skip must lie between 1 and 60, sticky in [0, 1); given: {self.frame_skip} and {self.sticky}"
            )


def read_console(given: object) -> Console:
    """The console of a game file.

    Raises:
        ValueError: an unknown key or button, or an address outside the memory.
    """
    content = read_mapping(given, "console", [each.name for each in fields(Console)])
    rom = content.get("rom")
    return Console(
        rom=None if rom is None else str(rom),
        frame_skip=int(content.get("frame_skip", 1)),
        sticky=float(content.get("sticky", 0.0)),
        boot=tuple(_press(each, "console.boot") for each in _list(content, "boot")),
        seed=None if content.get("seed") is None else _number(content["seed"], "console.seed"),
        begin=tuple(_press(each, "console.begin") for each in _list(content, "begin")),
        reward=tuple(_number(each, "console.reward") for each in _list(content, "reward")),
        over=tuple(_condition(each, "console.over") for each in _list(content, "over")),
    )


def write_console(console: Console) -> dict[str, object]:
    """Inverse of `read_console`."""
    plain = asdict(console)
    plain["boot"], plain["begin"] = (
        [{"frames": press.frames, "hold": list(press.hold)} for press in presses]
        for presses in (console.boot, console.begin)
    )
    plain["reward"] = [asdict(number) for number in console.reward]
    plain["over"] = [
        {"address": each.number.address, "bytes": each.number.bytes, "is": list(each.values)} for each in console.over
    ]
    return {key: value for key, value in plain.items() if value not in (None, [])}


def _list(content: Mapping[str, object], key: str) -> list[object]:
    given = content.get(key) or []
    if not isinstance(given, list):
        raise ValueError(f"console.{key} is {given!r}; expected a list")
    return given


def _press(given: object, what: str) -> Press:
    content = read_mapping(given, what, ["frames", "hold"])
    if "frames" not in content:
        raise ValueError(f"{what} has {given!r}; expected buttons and frames, such as {{hold: [start], frames: 5}}")
    return Press(int(content["frames"]), read_names(content.get("hold", ()), f"{what}.hold"))


def _number(given: object, what: str) -> Number:
    content = read_mapping(given, what, [each.name for each in fields(Number)])
    if type(content.get("address")) is not int:
        raise ValueError(f"{what} is {given!r}; expected an address in memory, such as {{address: 0x0303, bytes: 2}}")
    return Number(content["address"], int(content.get("bytes", 1)), float(content.get("weight", 1.0)))


def _condition(given: object, what: str) -> Condition:
    content = read_mapping(given, what, ["address", "bytes", "is"])
    values = content.pop("is", None)
    values = [values] if type(values) is int else values
    if not isinstance(values, list) or not values or not all(type(value) is int for value in values):
        raise ValueError(f"{what} is {given!r}; expected an address and values, such as {{address: 0x0300, is: [2]}}")
    return Condition(_number(content, what), tuple(values))
