"""What is particular to one game. `read.py` reads it from a YAML file; a checkpoint carries it in the same form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from racing_vpt.games.heads import Axis, Choice, Head, Joint
from racing_vpt.types import FrameSpec, Rectangle

if TYPE_CHECKING:
    from racing_vpt.games.controls import ControlScheme

ModelKind = Literal["idm", "policy", "world", "dqn"]


@dataclass(frozen=True)
class Car:
    """The player's car, where the camera follows it so that it stands still in the picture.

    Args:
        place: rectangle of the car in the picture that models see.
        shows: controls that the car's own look gives away, such as steering where its wheels turn. An inverse dynamics
            model can read them from this rectangle alone.
    """

    place: Rectangle
    shows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Keys:
    """Keys of one control, by pygame's names.

    Args:
        hold: any of these keys, held, gives `value`; none gives 0.
        value: of the control while a key is held.
        less: for a continuous control: these keys move it towards its lowest value.
        more: these move it towards its highest value; none of either moves it back to 0.
        step: how far one frame moves it.
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


@dataclass(frozen=True)
class Game:
    """One game: its controls, its frames, and where it is played.

    Args:
        name: what checkpoints and errors call it.
        controls: heads: how each control becomes classes.
        schemes: other heads for (some of) the same controls, by name: fewer classes, or tables of actions.
        scheme_for: which of `schemes` a kind of model uses, and `default` for the others; else `controls`.
        packs: heads of a scheme that share one layer of a network (`ControlScheme`), by scheme or `controls`.
        frames: what models of controls see: size, rate, hidden rectangles.
        world_frames: what world models and tokenizers see.
        env: id of the environment in which it is judged and played; None: there are only recordings.
        training_env: id of a faster environment with the same dynamics, for collecting and training.
        stops: largest effective value by control: commands beyond it have the same effect.
        car: where the car stands, if it stands still in the picture.
        keys: keys of each control, for somebody who plays.
        opposites: pairs of controls that cancel each other when the keys of both are held.
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

    def place(self, training: bool = True) -> str:
        """Id of the environment for collecting and training, or the one for judging and playing.

        Raises:
            ValueError: the game has none.
        """
        found = (self.training_env if training else None) or self.env
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
    """ValueError where a checkpoint was trained for another game than the one that was asked for.

    Args:
        held: the checkpoint's game.
        asked: by `--game`.
        checkpoint: its name.
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
    """The controls of a game with their classes, such as `steering 31, brake 11`."""
    return ", ".join(f"{head.name} {head.num_classes}" for head in game.controls)
