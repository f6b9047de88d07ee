"""All properties of one game. `read.py` reads them from a YAML file; checkpoints contain them in the same form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from racing_vpt.games.console import Console
from racing_vpt.games.heads import Axis, Choice, Head, Joint
from racing_vpt.games.overlay import Display
from racing_vpt.games.screen import Screen
from racing_vpt.types import FrameSpec, Rectangle

if TYPE_CHECKING:
    from racing_vpt.games.controls import ControlScheme

ModelKind = Literal["idm", "policy", "world", "dqn"]


@dataclass(frozen=True)
class Car:
    """The player's car, if the camera follows it so that it stands still in the picture.

    Args:
        place: rectangle of the car in the picture that models see.
        shows: controls visible in the car itself, such as steering by the angle of its wheels. An inverse dynamics
            model can read them from this rectangle alone.
    """

    place: Rectangle
    shows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Keys:
    """Keys of one control, by pygame's names.

    Args:
        hold: keys that set the control to `value` while one is held; otherwise it is 0.
        value: value of the control while a key is held.
        less: keys that move a continuous control towards its lowest value.
        more: keys that move it towards its highest value; without any of both it returns to 0.
        step: change per frame.
    """

    hold: tuple[str, ...] = ()
    value: float = 1.0
    less: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    step: float = 1.0

    @property
    def all(self) -> tuple[str, ...]:
        """All keys of the control."""
        return self.hold + self.less + self.more

    def moved(self, value: float, limits: tuple[float, float], less: bool, more: bool, frames: int = 1) -> float:
        """An axis after some frames in which keys of `less` or `more` are held: a step towards an end, or back to 0."""
        aim = 0.0 if less == more else limits[1] if more else limits[0]
        most = self.step * frames
        return value + min(max(aim - value, -most), most)


@dataclass(frozen=True)
class Game:
    """One game: its controls, its frames, and where it is played.

    Args:
        name: name in checkpoints and errors.
        controls: heads, which turn each control into classes.
        schemes: other heads for (some of) the same controls, by name: fewer classes, or tables of actions.
        scheme_for: scheme of `schemes` by kind of model, and `default` for the others; otherwise `controls`.
        packs: heads of a scheme that share one layer of a network (`ControlScheme`), by scheme or `controls`.
        frames: frames of policies and inverse dynamics models: size, rate, hidden rectangles.
        world_frames: frames of world models and tokenizers.
        env: id of the environment for judging and playing; None: there are only recordings.
        training_env: id of a faster environment with the same dynamics, for collecting and training.
        stops: largest effective value by control: commands beyond it have the same effect.
        car: the car, if it stands still in the picture.
        keys: keys of each control.
        opposites: pairs of controls that cancel each other when both are held.
        console: how it is played on an emulated console, if it is a game of one.
        driver: agent that `collect` records if none is given; None: the calm expert.
        screen: the window in which it is played, if it is a program that knows nothing of us.
        overlay: displays of the controls in the picture, which can be read as labels; `frames` hide them.
    """

    name: str
    controls: tuple[Head, ...]
    schemes: Mapping[str, tuple[Head, ...]] = field(default_factory=dict)
    scheme_for: Mapping[str, str] = field(default_factory=dict)
    packs: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    frames: FrameSpec = field(default_factory=FrameSpec)
    world_frames: FrameSpec = field(default_factory=FrameSpec)
    env: str | None = None
    training_env: str | None = None
    stops: Mapping[str, float] = field(default_factory=dict)
    car: Car | None = None
    keys: Mapping[str, Keys] = field(default_factory=dict)
    opposites: tuple[tuple[str, str], ...] = ()
    console: Console | None = None
    driver: str | None = None
    screen: Screen | None = None
    overlay: tuple[Display, ...] = ()

    def scheme(self, name: str | None = None, kind: ModelKind | None = None) -> ControlScheme:
        """A control scheme of the game.

        Args:
            name: one of `schemes`, `controls` for the game's controls, or None: the one for that kind of model.
            kind: of the model.

        Raises:
            ValueError: the game has no scheme of that name.
        """
        from racing_vpt.games.controls import ControlScheme

        name = name or self.scheme_for.get(kind or "default") or self.scheme_for.get("default", "controls")
        if name == "controls":
            return ControlScheme(self.name, self.controls, self.packs.get(name))
        if name not in self.schemes:
            known = ", ".join(["controls", *self.schemes])
            raise ValueError(f"{self.name} has no control scheme {name!r}; it has: {known}")
        return ControlScheme(f"{self.name}:{name}", self.schemes[name], self.packs.get(name))

    def actions(self, name: str) -> Joint:
        """A table of actions: the only head of a scheme.

        Raises:
            ValueError: there is no such scheme, or it is not a single table.
        """
        tables = {key: heads[0] for key, heads in self.schemes.items() if len(heads) == 1}
        head = tables.get(name)
        if not isinstance(head, Joint):
            raise ValueError(f"{self.name} has no table of actions {name!r}; it has: {', '.join(tables) or 'none'}")
        return head

    def place(self, training: bool = True, rom: Path | None = None) -> str:
        """Id of the environment for collecting and training, or the one for judging and playing.

        Args:
            training: whether it is for collecting and training.
            rom: image of a console's cartridge to play instead of the game's own.

        Raises:
            ValueError: the game has none, or is not played on a console but a ROM was given.
        """
        found = (self.training_env if training else None) or self.env
        if rom is not None:
            if self.console is None or self.env is None:
                raise ValueError(f"--rom {rom} is for games of a console, such as --game nes; {self.name} is none")
            return f"{self.env}@{rom}"
        if found is None:
            raise ValueError(f"the game {self.name} names no environment to drive in; give env")
        return found

    @property
    def control_names(self) -> tuple[str, ...]:
        """Names of all its controls."""
        return tuple(control for head in self.controls for control in head.controls)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of its continuous controls."""
        return tuple(head.name for head in self.controls if isinstance(head, Axis))

    @property
    def buttons(self) -> tuple[str, ...]:
        """Names of its controls that are 0 or 1."""
        return tuple(head.controls[0] for head in self.controls if isinstance(head, Choice) and head.values == (0, 1))


def check_same_game(held: Game, asked: Game, checkpoint: str) -> None:
    """Raise ValueError if a checkpoint was trained for another game than the requested one.

    Args:
        held: game of the checkpoint.
        asked: game of `--game`.
        checkpoint: name of the checkpoint.
    """
    if held.name != asked.name:
        raise ValueError(
            f"{checkpoint} was trained for the game {held.name}, but --game {asked.name} was given; leave it out, or "
            f"give a checkpoint of {asked.name}"
        )
    if held.controls != asked.controls:
        raise ValueError(
            f"{checkpoint} was trained for {held.name} with the controls {describe(held)}, but the file of the game "
            f"{asked.name} has {describe(asked)}; leave --game out, or train anew"
        )


def describe(game: Game) -> str:
    """Controls of a game with their numbers of classes, such as `steering 31, brake 11`."""
    return ", ".join(f"{head.name} {head.num_classes}" for head in game.controls)
