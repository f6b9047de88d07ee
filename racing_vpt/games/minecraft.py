"""Minecraft's heads as in VPT: 20 buttons and the mouse, joint in a policy, factored in an IDM.

VPT, Baker et al. 2022 (arXiv:2206.11795), appendix C, and the order of classes of OpenAI's public checkpoints. The
mouse turns the camera: `camera_pitch` (positive is down) and `camera_yaw` (positive is right), degrees a frame. Each
class of a policy's head `buttons` includes whether the camera moves; the head `camera` is ignored if it does not.
Unlike in OpenAI's code, the class that opens the inventory keeps the camera at rest in decoding too, as in encoding.

PyTorch is imported in functions, so that game files are read without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

BUTTONS = (
    *("attack", "back", "forward", "jump", "left", "right", "sneak", "sprint", "use", "drop", "inventory"),
    *(f"hotbar.{slot}" for slot in range(1, 10)),
)
CAMERA = ("camera_pitch", "camera_yaw")
CAMERA_LIMIT = 10.0  # degrees per frame
CAMERA_BINS = 11  # of each direction; the middle one is at rest
CAMERA_MU = 10.0
NULL_CAMERA = CAMERA_BINS * CAMERA_BINS // 2  # class of the camera at rest
CANCEL = {("forward", "back"), ("left", "right")}  # both keys of a pair cancel
GROUPS = (  # at most one key of each group counts, the later one; the first group varies slowest in the class index
    tuple(f"hotbar.{slot}" for slot in range(1, 10)),
    ("forward", "back"),
    ("left", "right"),
    ("sprint", "sneak"),
    *(("use",), ("drop",), ("attack",), ("jump",)),
)


def camera_class(degrees: Tensor) -> Tensor:
    """Class int64 [...] in 0..10 of degrees float [...]: equal steps after the mu-law, clipped at 10 degrees."""
    import torch

    unit = degrees.double().clamp(-CAMERA_LIMIT, CAMERA_LIMIT) / CAMERA_LIMIT
    companded = unit.sign() * torch.log1p(CAMERA_MU * unit.abs()) / math.log1p(CAMERA_MU)
    return torch.round((companded + 1) / 2 * (CAMERA_BINS - 1)).long()


def camera_degrees() -> Tensor:
    """Degrees float64 [11] of the classes: 0, +-0.6154, +-1.6095, +-3.2154, +-5.8095, +-10."""
    import torch

    unit = torch.linspace(-1, 1, CAMERA_BINS, dtype=torch.float64, device="cpu")
    return CAMERA_LIMIT * unit.sign() * ((1 + CAMERA_MU) ** unit.abs() - 1) / CAMERA_MU


@dataclass(frozen=True)
class JointButtons:
    """All buttons and whether the camera moves: 10 * 3 * 3 * 3 * 2^5 classes, and `inventory` last.

    Args:
        name: name of the head.
    """

    name: str = "buttons"

    @property
    def controls(self) -> tuple[str, ...]:
        return BUTTONS

    @property
    def num_classes(self) -> int:
        return len(self.table)

    @cached_property
    def table(self) -> Tensor:
        """Buttons pressed in each class, float32 [8641, 20]."""
        import torch

        choices = product(*(((), *((key,) for key in group)) for group in GROUPS), ((), ()))
        pressed = [{key for keys in choice for key in keys} for choice in choices] + [{"inventory"}]
        return torch.tensor([[float(button in keys) for button in BUTTONS] for keys in pressed], device="cpu")

    @cached_property
    def camera_moves(self) -> Tensor:
        """Mask of the classes in which the camera moves, bool [8641]."""
        import torch

        moves = torch.arange(self.num_classes, device="cpu") % 2 == 1
        moves[-1] = False
        return moves

    def encode(self, controls: Mapping[str, Tensor]) -> Tensor:
        """Class int64 [...] of buttons (pressed above 0.5) and camera by name, with conflicting keys resolved."""
        import torch

        pressed = {name: column > 0.5 for name, column in named(controls, BUTTONS, self.name).items()}
        classes = torch.zeros_like(pressed["inventory"], dtype=torch.long)
        for group in GROUPS:
            choice = torch.zeros_like(classes)
            for number, key in enumerate(group, 1):
                choice = torch.where(pressed[key], number, choice)  # a later key replaces an earlier one
            if group in CANCEL:
                choice = torch.where(pressed[group[0]] & pressed[group[1]], 0, choice)
            classes = classes * (len(group) + 1) + choice
        moved = [camera_class(column) != CAMERA_BINS // 2 for column in named(controls, CAMERA, self.name).values()]
        classes = classes * 2 + torch.stack(moved).any(0)
        return torch.where(pressed["inventory"], self.num_classes - 1, classes)

    def rest_camera(self, controls: dict[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        """Decoded controls [...], with the camera at rest where the classes int64 [...] of buttons exclude it."""
        moves = self.camera_moves.to(classes.device)[classes]
        return controls | {name: controls[name] * moves for name in CAMERA if name in controls}


@dataclass(frozen=True)
class JointCamera:
    """Both directions of the camera: 11 * 11 classes; yaw varies fastest.

    Args:
        name: name of the head.
    """

    name: str = "camera"

    @property
    def controls(self) -> tuple[str, ...]:
        return CAMERA

    @property
    def num_classes(self) -> int:
        return CAMERA_BINS * CAMERA_BINS

    @cached_property
    def table(self) -> Tensor:
        """Degrees of each class, float32 [121, 2]."""
        import torch

        degrees = camera_degrees()
        return torch.cartesian_prod(degrees, degrees).float()

    def encode(self, controls: Mapping[str, Tensor]) -> Tensor:
        """Class int64 [...] of the camera; at rest if the inventory is opened, which excludes everything else."""
        import torch

        pitch, yaw = (camera_class(column) for column in named(controls, CAMERA, self.name).values())
        opens = named(controls, ("inventory",), self.name)["inventory"] > 0.5
        return torch.where(opens, NULL_CAMERA, CAMERA_BINS * pitch + yaw)


@dataclass(frozen=True)
class CameraAxis:
    """One direction of the camera in 11 classes, for the IDM.

    Args:
        name: name of the control and the head.
    """

    name: str

    @property
    def controls(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def num_classes(self) -> int:
        return CAMERA_BINS

    @cached_property
    def table(self) -> Tensor:
        """Degrees of each class, float32 [11, 1]."""
        return camera_degrees().float().unsqueeze(1)

    def encode(self, controls: Mapping[str, Tensor]) -> Tensor:
        """Class int64 [...] of the control."""
        return camera_class(named(controls, self.controls, self.name)[self.name])


def named(controls: Mapping[str, Tensor], names: tuple[str, ...], head: str) -> dict[str, Tensor]:
    """Controls of these names; ValueError names missing ones."""
    missing = [name for name in names if name not in controls]
    if missing:
        raise ValueError(f"controls {sorted(controls)} lack {missing}, which head {head} needs")
    return {name: controls[name] for name in names}
