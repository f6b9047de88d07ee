"""The `screen` section of a game file: a game that is played in a window, and how it is started, driven and ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from racing_vpt.games.forms import near, read_mapping, read_names
from racing_vpt.types import rectangle

Until = Literal["changed", "still", "moving"]
Display = Literal["own", "user"]
Clock = Literal["real", "steps"]


@dataclass(frozen=True)
class MenuStep:
    """One step through a game's menus; it is repeated until the picture answers as expected.

    Args:
        click: where to click, [down, right] as shares of the window; (): nowhere.
        press: key to press; empty: none.
        until: what is waited for: the picture has `changed`, is `still`, or keeps `moving` (16 looks in a row).
        seconds: time after which the game is given up.
    """

    click: tuple[float, ...] = ()
    press: str = ""
    until: Until = "changed"
    seconds: float = 20.0


@dataclass(frozen=True)
class Program:
    """How the game is started. `$home` is a folder of its own for each run of the game, `$seed` the episode's seed.

    In `command`, `environment` and `files`, `$NAME` is what was chosen from `choices`; `$$` is a dollar sign.

    Args:
        command: the program and its arguments.
        folder: folder in which it is started.
        environment: variables of its environment.
        setup: command that is run once in a new `$home`.
        files: content of files that are written before each start, by path.
        install: what to type to install it, for the message where it is missing.
        choices: values among which each episode's seed chooses one, by name.
    """

    command: tuple[str, ...] = ()
    folder: str = "$home"
    environment: Mapping[str, str] = field(default_factory=dict)
    setup: tuple[str, ...] = ()
    install: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ends:
    """When an episode ends, besides the window's closing.

    Args:
        seconds: its longest time in seconds of the game.
        still_seconds: the picture has not changed for so long: the car is stuck, or a menu is shown; 0: never.
        file: a file that the game writes when the race is over, with `$home` and wildcards; empty: none.
        results: what is read from that file, as a regular expression with one group for a number, by name.
    """

    seconds: float = 60.0
    still_seconds: float = 0.0
    file: str = ""
    results: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Screen:
    """A game in a window.

    Args:
        window: title of its window, or a part of it.
        region: [left, top, width, height] in pixels of the screen, instead of a window.
        size: [width, height] of its own display, and of the game.
        display: `own`: it runs in an Xvfb of its own, unseen; `user`: on the user's display.
        clock: `real` time, or `steps`: libfaketime stops the game's clock between the steps of the environment, so that
            a slow policy can drive a fast game.
        program: how it is started.
        menu: steps from its start to the race.
        end: when an episode ends.
    """

    window: str = ""
    region: tuple[int, ...] = ()
    size: tuple[int, int] = (320, 240)
    display: Display = "own"
    clock: Clock = "real"
    program: Program = field(default_factory=Program)
    menu: tuple[MenuStep, ...] = ()
    end: Ends = field(default_factory=Ends)


def read_screen(given: object) -> Screen:
    """The section from a game file; ValueError says what is wrong."""
    content = read_mapping(given, "screen", _names(Screen))
    region, size = _whole(content.get("region", ()), 4, "region"), _whole(content.get("size", (320, 240)), 2, "size")
    if bool(content.get("window")) == bool(region):
        raise ValueError("screen names a window, such as window: TITLE, or a region: [left, top, width, height]")
    menu = content.get("menu") or ()
    if not isinstance(menu, Sequence) or isinstance(menu, str):
        raise ValueError(f"screen.menu is {menu!r}; expected a list of steps, such as [{{click: [0.2, 0.5]}}]")
    return Screen(
        window=str(content.get("window", "")),
        region=region,
        size=(size[0], size[1]),
        display=_one_of(content.get("display", "own"), get_args(Display), "screen.display"),
        clock=_one_of(content.get("clock", "real"), get_args(Clock), "screen.clock"),
        program=_program(content.get("program")),
        menu=tuple(_step(step, f"screen.menu, step {number}") for number, step in enumerate(menu, 1)),
        end=_ends(content.get("end")),
    )


def _program(given: object) -> Program:
    content = read_mapping(given, "screen.program", _names(Program))
    texts = {
        name: {key: str(value) for key, value in read_mapping(content.get(name), f"screen.program.{name}").items()}
        for name in ("environment", "files")
    }
    choices = read_mapping(content.get("choices"), "screen.program.choices")
    return Program(
        command=read_names(content.get("command", ()), "screen.program.command"),
        folder=str(content.get("folder", "$home")),
        install=str(content.get("install", "")),
        setup=read_names(content.get("setup", ()), "screen.program.setup"),
        choices={name: read_names(values, f"screen.program.choices.{name}") for name, values in choices.items()},
        **texts,
    )


def _step(given: object, what: str) -> MenuStep:
    content = read_mapping(given, what, _names(MenuStep))
    click = content.get("click", ())
    if click:
        click = rectangle((*click, 1e-9, 1e-9))[:2]  # a point within the picture
    until = _one_of(content.get("until", "changed"), get_args(Until), f"{what}: until")
    return MenuStep(tuple(click), str(content.get("press", "")), until, float(content.get("seconds", 20.0)))


def _ends(given: object) -> Ends:
    content = read_mapping(given, "screen.end", _names(Ends))
    return Ends(
        seconds=float(content.get("seconds", 60.0)),
        still_seconds=float(content.get("still_seconds", 0.0)),
        file=str(content.get("file", "")),
        results={name: str(each) for name, each in read_mapping(content.get("results"), "screen.end.results").items()},
    )


def _names(kind: type) -> list[str]:
    return [each.name for each in fields(kind)]


def _one_of(given: object, known: tuple[str, ...], what: str) -> Any:
    if given not in known:
        raise ValueError(f"{what} is {given!r}{near(str(given), known)}; expected one of: {', '.join(known)}")
    return given


def _whole(given: object, count: int, what: str) -> tuple[int, ...]:
    if given in ((), []):
        return ()
    if not isinstance(given, Sequence) or len(given) != count or not all(type(each) is int for each in given):
        raise ValueError(f"screen.{what} is {given!r}; expected {count} whole numbers of pixels")
    if min(given[-2:]) < 16:
        raise ValueError(f"screen.{what} is {given!r}; width and height are at least 16 pixels")
    return tuple(given)
