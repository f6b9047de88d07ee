"""A trained policy as an agent."""

from __future__ import annotations

from typing import Any, Protocol, cast

import gymnasium
import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.utils._pytree import tree_map

from racing_vpt.envs.offers import check_driver
from racing_vpt.frames import prepare
from racing_vpt.games.controls import Axis, ControlScheme
from racing_vpt.types import Controls, Frame, FrameSpec

State = Any  # memory of a policy: nested lists and tuples of tensors [N, ...]


class Policy(Protocol):
    """Interface of modules that can drive, such as `VPT`."""

    frames: FrameSpec
    scheme: ControlScheme

    @property
    def act(
        self,
    ) -> str: ...  # `mean`, `mode`, `turns`; `controls` if `policy` returns controls [N, T], not probabilities

    def initial_state(self, n: int, device: torch.device | str) -> State: ...

    def policy(self, frames: Tensor, first: Tensor, state: State) -> tuple[dict[str, Tensor], State]: ...


class CheckpointAgent:
    """Drives with a policy, keeping one memory per environment and repeating the controls between decisions.

    Args:
        module: the policy, in evaluation mode.
        device: device of the policy.
        greedy: deterministic, as the module's `act` says: the `mean` on axes, the `mode` everywhere, or `turns`, the
            mean on axes and each class of a choice as often as its probability. False: controls are sampled.
        seed: seed of the samples.
        frames_per_second: rate of the environment, until one is attached. A policy for fewer frames per second decides
            less often.
    """

    def __init__(
        self,
        module: Policy,
        device: str = "cpu",
        *,
        greedy: bool = True,
        seed: int = 0,
        frames_per_second: float = 50.0,
    ) -> None:
        self.module, self.device, self.greedy = module, device, greedy
        if isinstance(module, torch.nn.Module):
            module.to(device).eval()
        self.keep_pace(frames_per_second)
        self.random = torch.Generator(device).manual_seed(seed)
        self.reset()

    def keep_pace(self, frames_per_second: float) -> None:
        """Decide at the policy's own rate in an environment of that frame rate."""
        spec = self.module.frames
        self.repeat = max(1, round(frames_per_second / spec.frames_per_second * spec.stride))

    def attach(self, env: gymnasium.Env) -> None:
        """Drive in this environment; ValueError if its controls are not those of the policy."""
        check_driver(self.module.scheme.controls, self.module.scheme.name, env)
        self.keep_pace(float(env.metadata.get("render_fps", 50)))

    def reset(self) -> None:
        self.state: State = None
        self.age = np.empty(0, int)
        self.controls: list[Controls] = []
        self.owed: dict[str, Tensor] = {}  # [N, classes] by head

    def seed(self, seed: int) -> None:
        if not len(self.age):  # reseeding would change the samples of episodes that run in other rows
            self.random.manual_seed(seed)

    def act(self, frame: Frame) -> Controls:
        first = np.array([not len(self.age)])
        return self.act_batch(frame[None], first)[0]

    @torch.inference_mode()
    def act_batch(self, frames: np.ndarray, first: np.ndarray) -> list[Controls]:
        count = len(frames)
        if len(self.age) != count:
            self.state = self.module.initial_state(count, self.device)
            self.age, self.controls, self.owed = np.zeros(count, int), [{} for _ in range(count)], {}
            first = np.ones(count, bool)
        self.age[first] = 0
        due = np.flatnonzero(self.age % self.repeat == 0)
        self.age += 1
        if len(due):
            for row, controls in zip(due, self.decide(frames[due], first[due], due), strict=True):
                self.controls[row] = controls
        return [dict(controls) for controls in self.controls]

    def decide(self, frames: np.ndarray, first: np.ndarray, rows: np.ndarray) -> list[Controls]:
        """Controls for frames uint8 [M, H, W, 3] of these rows of the batch."""
        whole = len(rows) == len(self.age)
        index = torch.as_tensor(rows, device=self.device)
        pictures = torch.from_numpy(np.ascontiguousarray(prepare(frames, self.module.frames))).to(self.device)
        starts = torch.from_numpy(first.astype(bool)).to(self.device)
        state = self.state if whole else tree_map(lambda memory: memory[index], self.state)
        likely, state = self.module.policy(
            rearrange(pictures, "m h w c -> m 1 h w c"), rearrange(starts, "m -> m 1"), state
        )
        if whole:
            self.state = state
        else:
            self.state = tree_map(lambda memory, new: memory.index_copy(0, index, new), self.state, state)
        for name, owed in self.owed.items():
            self.owed[name] = owed.index_fill(0, index[starts], 0.0)
        controls = self.choose({name: classes[:, -1] for name, classes in likely.items()}, index)
        names, values = list(controls), torch.stack(list(controls.values()), -1).cpu()  # (M, controls)
        return [dict(zip(names, row, strict=True)) for row in values.tolist()]

    def choose(self, likely: dict[str, Tensor], rows: Tensor | None = None) -> dict[str, Tensor]:
        """Controls [M] by name from probabilities [M, classes] by head, for rows int64 [M] of the batch; None: all."""
        scheme = self.module.scheme
        if self.module.act == "controls":
            return likely
        if not self.greedy:
            drawn = {name: torch.multinomial(p, 1, generator=self.random)[:, 0] for name, p in likely.items()}
            return scheme.decode(drawn)
        if self.module.act == "mean":
            return scheme.expect(likely)
        if self.module.act == "turns":
            return scheme.expect(likely, self.turns(likely, rows))
        return scheme.decode({name: p.argmax(-1) for name, p in likely.items()})

    def turns(self, likely: dict[str, Tensor], rows: Tensor | None) -> dict[str, Tensor]:
        """Classes int64 [M] of the heads other than axes by error diffusion: each as often as its probability.

        Each class accumulates its probability at each decision; the largest sum is chosen and reduced by one.
        """
        classes = {}
        for name, head in self.module.scheme.heads.items():
            if isinstance(head, Axis):
                continue
            p = likely[name].float()
            rows = torch.arange(len(p), device=p.device) if rows is None else rows
            owed = self.owed.get(name, p.new_zeros(max(len(self.age), len(p)), p.shape[-1]))
            now = owed[rows] + p
            classes[name] = now.argmax(-1)
            paid = torch.nn.functional.one_hot(classes[name], p.shape[-1])
            self.owed[name] = owed.index_copy(0, rows, now - paid)
        return classes


def load_driver(name: str, device: str = "cpu", *, greedy: bool = True, seed: int = 0) -> CheckpointAgent:
    """The agent of a checkpoint.

    Raises:
        FileNotFoundError: where there is no such checkpoint; it lists the other agents.
        ValueError: for a model that does not drive.
    """
    from racing_vpt.checkpoints.load import load_module

    try:
        module = load_module(name, device=device)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}. Agents that need no checkpoint: expert, expert:STYLE, brownian, random, keyboard"
        ) from error
    if not hasattr(module, "policy"):
        raise ValueError(f"{name} is a {type(module).__name__}, which does not drive; expected a policy, such as a VPT")
    return CheckpointAgent(cast(Policy, module), device, greedy=greedy, seed=seed)
