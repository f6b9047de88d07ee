"""Game files: YAML to `Game` and back. A mistake is one line that names the file and what is expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import yaml

from racing_vpt.games.console import NES, read_console, write_console
from racing_vpt.games.forms import near, read_heads, read_mapping, read_names, write_heads
from racing_vpt.games.game import Car, Game, Keys, ModelKind
from racing_vpt.games.heads import Axis, Choice, Head, Joint
from racing_vpt.games.overlay import hiding, read_displays
from racing_vpt.games.screen import read_screen
from racing_vpt.types import FrameChanges, FrameSpec, frame_spec, rectangle

SHIPPED = Path(__file__).parent
SCREEN = "screen:"  # prefix of ids of environments that are programs in a window, followed by their game
KEYS_FORMS = "[left, a], {hold: [down], value: 0.8} or {less: [left], more: [right], step: 0.06}"


def game_names() -> list[str]:
    """Names of the shipped games."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load_game(game: str | Path) -> Game:
    """The game of a name or file.

    Args:
        game: such as `carracing`, or the path of a YAML file; `carracing:five` selects a control scheme.

    Raises:
        FileNotFoundError: there is neither; the message lists the shipped games.
        ValueError: the file is invalid, or the game has no such scheme.
    """
    place, _, scheme = str(game).partition(":")
    if scheme:
        found = load_game(place)
        found.scheme(scheme)
        return replace(found, scheme_for={"default": scheme})
    if place in game_names():
        return _shipped(place)
    path = Path(game)
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        raise FileNotFoundError(
            f"there is no game {str(game)!r}{near(str(game), game_names())}; games are {', '.join(game_names())}, or "
            "the path of a YAML file such as mine.yaml"
        )
    return read_game(path)


@cache
def _shipped(name: str) -> Game:
    return read_game(SHIPPED / f"{name}.yaml")


def file_of(game: str | Path) -> Path:
    """File of a game's name, or the path itself, with or without a control scheme."""
    name = str(game).partition(":")[0]
    return SHIPPED / f"{name}.yaml" if name in game_names() else Path(name)


def read_game(path: Path) -> Game:
    """The game of a file; ValueError if it is invalid, in one line. A console's game is its own environment."""
    content = read_yaml(path)
    game = game_from(content, str(path), path.stem)
    if game.console is not None and game.env is None:
        return replace(game, env=f"{NES}{path.stem if path.parent == SHIPPED else path}")
    if game.screen is not None and game.env is None and game.screen.program.command:
        place = path.stem if path.parent == SHIPPED else str(path.absolute())
        return replace(game, env=f"{SCREEN}{place}")
    return game


def read_yaml(path: Path) -> object:
    """The content of a YAML file; ValueError, in one line, if it is none or has a key twice."""
    try:
        return yaml.load(path.read_text(), _Strict)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error


def as_game(given: Game | str | Path | Mapping[str, Any]) -> Game:
    """A game from its name, its file, or its fields in a checkpoint; a `Game` is returned unchanged."""
    if isinstance(given, Game):
        return given
    return game_from(given, "the game") if isinstance(given, Mapping) else load_game(given)


def game_from(content: object, source: str, name: str = "game") -> Game:
    """The game from the content of a file.

    Args:
        content: parsed YAML.
        source: name of the file, for messages.
        name: name of the game if the content has none.

    Raises:
        ValueError: invalid content; the message names the source and what was expected.
    """
    try:
        given = read_mapping(content, "a game", [each.name for each in fields(Game)])
        controls = read_heads(given.get("controls"), "controls")
        schemes = {
            each: read_heads(heads, f"schemes.{each}")
            for each, heads in read_mapping(given.get("schemes"), "schemes").items()
        }
        overlay = read_displays(given.get("overlay"), limits_of(controls))
        frames = hiding(_frames(given.get("frames"), FrameSpec(), "frames"), overlay)
        game = Game(
            name=str(given.get("name", name)),
            controls=controls,
            schemes=schemes,
            scheme_for=read_mapping(given.get("scheme_for"), "scheme_for", [*get_args(ModelKind), "default"]),
            packs={
                scheme: {
                    pack: read_names(heads, f"packs.{scheme}.{pack}")
                    for pack, heads in read_mapping(packs, "packs").items()
                }
                for scheme, packs in read_mapping(given.get("packs"), "packs", ["controls", *schemes]).items()
            },
            frames=frames,
            world_frames=hiding(_frames(given.get("world_frames"), frames, "world_frames"), overlay),
            env=given.get("env"),
            training_env=given.get("training_env"),
            stops={control: float(stop) for control, stop in read_mapping(given.get("stops"), "stops").items()},
            car=None if given.get("car") is None else _car(given["car"]),
            keys={control: _keys(keys, control) for control, keys in read_mapping(given.get("keys"), "keys").items()},
            opposites=tuple((str(one), str(other)) for one, other in given.get("opposites") or ()),
            console=None if given.get("console") is None else read_console(given["console"]),
            driver=given.get("driver"),
            screen=None if given.get("screen") is None else read_screen(given["screen"]),
            overlay=overlay,
        )
        _check(game)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{source}: {error}") from error
    return game


def fields_of(game: Game) -> dict[str, Any]:
    """The game as plain data for checkpoints; `game_from` is the inverse.

    `screen` is left out: it has commands, and nothing that a checkpoint brings with it may be run. So is `overlay`,
    which is for labelling; its rectangles stand in the frames' `hide`.
    """
    content: dict[str, Any] = {
        "name": game.name,
        "controls": write_heads(game.controls),
        "schemes": {name: write_heads(heads) for name, heads in game.schemes.items()},
        "scheme_for": dict(game.scheme_for),
        "packs": {name: {pack: list(heads) for pack, heads in packs.items()} for name, packs in game.packs.items()},
        "frames": _plain(asdict(game.frames)),
        "world_frames": _plain(asdict(game.world_frames)),
        "env": game.env,
        "training_env": game.training_env,
        "stops": dict(game.stops),
        "car": None if game.car is None else _plain(asdict(game.car)),
        "keys": {control: _plain(asdict(keys)) for control, keys in game.keys.items()},
        "opposites": [list(pair) for pair in game.opposites],
        "console": None if game.console is None else write_console(game.console),
        "driver": game.driver,
    }
    return {key: value for key, value in content.items() if value not in (None, {}, [])}


def limits_of(heads: Iterable[Head]) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of the axes, choices and tables among heads, by control."""
    limits: dict[str, tuple[float, float]] = {}
    for head in heads:
        if isinstance(head, Axis):
            limits[head.name] = head.low, head.high
        elif isinstance(head, Choice):
            limits[head.controls[0]] = head.values[0], head.values[-1]
        elif isinstance(head, Joint):
            columns = zip(*head.rows, strict=True)
            limits |= {name: (min(column), max(column)) for name, column in zip(head.controls, columns, strict=True)}
    return limits


class _Strict(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        lines: dict[object, int] = {}
        for key_node, _ in node.value:
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if key in lines:
                raise yaml.YAMLError(f"{key} stands twice, in lines {lines[key]} and {line}; a control has one head")
            lines[key] = line
        return super().construct_mapping(node, deep)


def _frames(given: object, base: FrameSpec, what: str) -> FrameSpec:
    return frame_spec(read_mapping(given, what, [each.name for each in fields(FrameChanges)]), base)


def _car(given: object) -> Car:
    content = read_mapping(given, "car", ["place", "shows"])
    return Car(rectangle(content.get("place", ())), read_names(content.get("shows", ()), "car.shows"))


def _keys(given: object, control: str) -> Keys:
    if not isinstance(given, Mapping):
        return Keys(hold=read_names(given, f"keys.{control}"))
    content = read_mapping(given, f"keys.{control}", [each.name for each in fields(Keys)])
    names = {key: read_names(content.get(key, ()), f"keys.{control}.{key}") for key in ("hold", "less", "more")}
    if not any(names.values()) or (names["hold"] and (names["less"] or names["more"])):
        raise ValueError(f"keys.{control} is {given!r}; expected {KEYS_FORMS}")
    return Keys(**names, value=float(content.get("value", 1.0)), step=float(content.get("step", 1.0)))


def _check(game: Game) -> None:
    """Raise ValueError if a part names a control, head or scheme that the game lacks."""
    controls = game.control_names
    for what, names, known in (
        ("stops", game.stops, game.axes),
        ("keys", game.keys, controls),
        ("keys with less and more", [name for name, keys in game.keys.items() if keys.less or keys.more], game.axes),
        ("car.shows", game.car.shows if game.car else (), [head.name for head in game.controls]),
        ("opposites", [control for pair in game.opposites for control in pair], controls),
        ("scheme_for", game.scheme_for.values(), ["controls", *game.schemes]),
        *(
            (f"schemes.{name}", [c for head in heads for c in head.controls], controls)
            for name, heads in game.schemes.items()
        ),
    ):
        wrong = [name for name in names if name not in known]
        if wrong:
            raise ValueError(f"{what} names {wrong[0]}{near(wrong[0], known)}; expected among: {', '.join(known)}")
    if min(game.stops.values(), default=1.0) <= 0:
        raise ValueError(f"stops are positive numbers, but {dict(game.stops)} was given")


def _plain(value: Any) -> Any:
    """Tuples as lists, as in JSON and YAML."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
