"""Heads: conversion of the controls of a game to classes and back.

Each head is one categorical distribution that a model predicts: an `Axis` (a pedal, a steering wheel), a `Choice` (a
gear change), a `Button`, or a `Joint` of several controls chosen together; Minecraft's are in `minecraft.py`.
PyTorch is imported in functions, so that game files are read without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from racing_vpt.games.minecraft import CameraAxis, JointButtons, JointCamera, named

if TYPE_CHECKING:
    from torch import Tensor

MOST_BINS = 4096  # of an axis; a file that asks for more would fill the memory with a table of them


@dataclass(frozen=True)
class Axis:
    """A continuous control, divided into bins; a value between two bins is divided between them (two-hot targets).

    Args:
        name: the control.
        low: smallest value.
        high: largest value.
        bins: number of classes.
        mu: mu-law constant; larger means finer bins around zero. None: bins of equal width.
    """

    name: str
    low: float
    high: float
    bins: int
    mu: float | None = None

    def __post_init__(self) -> None:
        if not 2 <= self.bins <= MOST_BINS or not self.low < self.high or (self.mu is not None and self.mu <= 0):
            raise ValueError(
                f"axis {self.name} needs low < high, 2 to {MOST_BINS} bins and mu > 0 (or none), but has {self}"
            )

    @property
    def controls(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def num_classes(self) -> int:
        return self.bins

    @cached_property
    def table(self) -> Tensor:
        """Value at the centre of each class, float32 [classes, 1]."""
        import torch

        unit = torch.linspace(-1, 1, self.bins, dtype=torch.float64, device="cpu")
        if self.mu is not None:
            unit = unit.sign() * ((1 + self.mu) ** unit.abs() - 1) / self.mu
        return (self.low + (unit + 1) / 2 * (self.high - self.low)).float().unsqueeze(1)

    def encode(self, controls: Mapping[str, Tensor]) -> Tensor:
        """The nearest class int64 [...] of the control."""
        return nearest_class(self, controls)


@dataclass(frozen=True)
class Choice:
    """One of a few values, such as a gear change of -1, 0 or 1.

    Args:
        name: name of the head.
        values: values in rising order.
        control: name of the control; None: that of the head.
    """

    name: str
    values: tuple[float, ...]
    control: str | None = None

    def __post_init__(self) -> None:
        if len(self.values) < 2 or list(self.values) != sorted(set(self.values)):
            raise ValueError(f"choice {self.name} needs 2 rising values or more, but has {self.values}")

    @property
    def controls(self) -> tuple[str, ...]:
        return (self.control or self.name,)

    @property
    def num_classes(self) -> int:
        return len(self.values)

    @cached_property
    def table(self) -> Tensor:
        """The value of each class, float32 [classes, 1]."""
        import torch

        return torch.tensor(self.values, dtype=torch.float32, device="cpu").unsqueeze(1)

    def encode(self, controls: Mapping[str, Tensor]) -> Tensor:
        """The nearest class int64 [...] of the control."""
        return nearest_class(self, controls)


def Button(name: str) -> Choice:  # noqa: N802 - reads as the class of controls that it makes
    """A button: class 0 is released, class 1 pressed. The head's name has no dots, which separate names of weights."""
    return Choice(name.replace(".", "_"), (0.0, 1.0), name)


@dataclass(frozen=True)
class Joint:
    """Several controls chosen together: class i is row i. Other values are encoded as the nearest row.

    Args:
        name: name of the head.
        controls: names of the controls.
        rows: values of the controls, by class.
    """

    name: str
    controls: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if len(self.rows) < 2 or len(set(self.rows)) < len(self.rows):
            raise ValueError(f"joint {self.name} needs 2 rows or more, all different, but has {list(self.rows)}")
        wrong = [row for row in self.rows if len(row) != len(self.controls)]
        if wrong:
            names = ", ".join(self.controls)
            raise ValueError(f"joint {self.name} has the row {list(wrong[0])}; expected a number for each of: {names}")

    @property
    def num_classes(self) -> int:
        return len(self.rows)

    @cached_property
    def table(self) -> Tensor:
        """The values of each class, float32 [classes, controls]."""
        import torch

        return torch.tensor(self.rows, dtype=torch.float32, device="cpu")

    @property
    def actions(self) -> list[dict[str, float]]:
        """Controls by name, by class."""
        return [dict(zip(self.controls, row, strict=True)) for row in self.rows]

    def encode(self, controls: Mapping[str, Tensor]) -> Tensor:
        """The nearest class int64 [...] of the controls."""
        import torch

        values = torch.stack([column.float() for column in named(controls, self.controls, self.name).values()], -1)
        return torch.linalg.vector_norm(values.unsqueeze(-2) - self.table.to(values), ord=1, dim=-1).argmin(-1)


Head = Axis | Choice | Joint | JointButtons | JointCamera | CameraAxis


def nearest_class(head: Axis | Choice, controls: Mapping[str, Tensor]) -> Tensor:
    """Class int64 [...] with the nearest value, of a head with one control; the lower of two equally near ones."""
    import torch

    values = named(controls, head.controls, head.name)[head.controls[0]].float()
    centres = head.table[:, 0].to(values.device)
    above = torch.searchsorted(centres, values.contiguous()).clamp(1, len(centres) - 1)
    return torch.where(values - centres[above - 1] <= centres[above] - values, above - 1, above)
