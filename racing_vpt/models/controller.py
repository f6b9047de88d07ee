"""The controller of World Models: a linear layer of 867 parameters from code and memory to the controls.

Ha & Schmidhuber 2018 (arXiv:1803.10122), appendix A.3: steering = tanh(a), throttle = (tanh(b) + 1) / 2, brake =
max(tanh(c), 0); CMA-ES. Each generation is one training step: `EvolutionRollouts` lets the candidates drive, on tracks
or in dreams, and reports their returns; no gradients are involved. Unlike the paper, a frame's code is its mean, and
the best candidate is chosen by driving again on tracks reserved for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from racing_vpt.checkpoints.folder import Checkpoint
from racing_vpt.games.read import as_game
from racing_vpt.models.parts import STARTS, check_kind, load_memory, load_vae
from racing_vpt.nn.evolution import Evolution
from racing_vpt.nn.memory import MemoryNet, MemoryState
from racing_vpt.nn.vae_net import VAENet
from racing_vpt.nn.world import NUM_CONTROLS, WorldNet, drive
from racing_vpt.types import FrameChanges, frame_spec

UNJUDGED = -1e9  # not -infinity, which checkpoints refuse
Memory = Literal["trained", "random", "zero", "none"]


@dataclass(frozen=True)
class SearchConfig:
    """The search by CMA-ES.

    Args:
        pop_size: candidates in a generation.
        n_samples: tracks (or dreams) that each candidate drives in a generation, the same for all.
        sigma: initial step size.
        target_return: mean return, on the tracks reserved for judging, at which the search ends; None: no such end.
        seed: seed of the search, and of a random memory.
    """

    pop_size: int = 64
    n_samples: int = 16
    sigma: float = 0.1
    target_return: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_samples < 1:
            raise ValueError(f"n_samples must be at least 1, but {self.n_samples} was given")


class Controller(LightningModule):
    """A linear controller on a VAE's code and an MDN-RNN's memory, found by CMA-ES.

    Args:
        memory: checkpoint of the MDN-RNN, which contains its VAE too (path, run folder or zoo:NAME).
        vae: checkpoint of a VAE, where there is no memory. With both, they must belong together.
        memory_use: `trained`; `random`, an untrained LSTM; `zero`, a memory that is never written to; or `none`, the
            code of the current frame only.
        game: name or file of the game, or all that its file says.
        frames: how the frames that the VAE sees differ from the game's for world models.
        latent: dimensions of a code.
        width: width of the LSTM.
        components: Gaussians of the mixture for each dimension.
        search: population, tracks and seed of the search.
        init_from: checkpoint of a controller on the same memory from whose parameters the search starts, such as one
            that was found in dreams.
    """

    act = "controls"  # `policy` returns controls, not class probabilities
    learns_from = "experience"  # the data module then only counts steps
    best_return: Tensor
    starts: Tensor
    num_starts: Tensor

    GAME_FRAMES = "world_frames"

    def __init__(
        self,
        memory: str | None = None,
        vae: str | None = None,
        memory_use: Memory = "trained",
        game: str | dict = "carracing",
        frames: FrameChanges = FrameChanges(),  # noqa: B008 - frozen
        latent: int = 32,
        width: int = 256,
        components: int = 5,
        search: SearchConfig = SearchConfig(),
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.game = as_game(game)
        self.frames = frame_spec(frames, self.game.world_frames)
        self.scheme = self.game.scheme()
        controls = self.game.scheme(kind="world").controls
        if len(controls) != NUM_CONTROLS:
            raise ValueError(
                "a controller of World Models steers, accelerates and brakes; the world models of the game "
                f"{self.game.name} take {', '.join(controls)}"
            )
        self.memory_name = memory
        self.vae_name = vae
        self.memory_use = memory_use
        self.search = search
        self.init_from = init_from
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(search.seed)  # a resumed run has the same random memory
            net = None if memory_use == "none" else MemoryNet(latent, NUM_CONTROLS, width, components)
        self.world = WorldNet(VAENet(latent), net, controls, memory_use == "zero").requires_grad_(False)
        count = NUM_CONTROLS * (self.world.width + 1)
        self.controller = torch.nn.Parameter(torch.zeros(count))
        self.evolution = Evolution(np.zeros(count), search.sigma, search.pop_size, search.seed)
        self.register_buffer("best_return", torch.tensor(UNJUDGED))
        self.register_buffer("starts", torch.zeros(STARTS, 2 * latent))  # as in the memory
        self.register_buffer("num_starts", torch.zeros((), dtype=torch.int64))
        self.candidates, self.returns = np.zeros((0, count)), np.zeros(0)

    def setup(self, stage: str) -> None:
        if stage != "fit":
            return
        from racing_vpt.checkpoints.load import read_checkpoint

        name = self.memory_name or self.vae_name
        if name is None or (self.memory_use == "trained" and self.memory_name is None):
            raise ValueError(
                "a controller needs a trained memory: name one with --model.memory (make mdnrnn first), or give "
                "--model.vae and --model.memory_use none"
            )
        if self.memory_name is not None:
            checkpoint = read_checkpoint(self.memory_name)
            trained = self.memory_use == "trained"
            starts = load_memory(self.world, self.frames, checkpoint, self.memory_name, trained)
            self.num_starts.fill_(len(starts))
            self.starts[: len(starts)] = starts
        if self.vae_name is not None:
            own = self.world.vae.state_dict()
            given = VAENet(self.world.vae.latent)
            load_vae(given, self.frames, read_checkpoint(self.vae_name), self.vae_name)
            if self.memory_name is not None and any(not torch.equal(own[k], x) for k, x in given.state_dict().items()):
                from racing_vpt.checkpoints.folder import fingerprint

                raise ValueError(
                    f"{self.memory_name} was trained with the VAE {fingerprint(own)}, but {self.vae_name} is "
                    f"{fingerprint(given.state_dict())}; leave --model.vae out, or train the memory with it"
                )
            self.world.vae.load_state_dict(given.state_dict())
        if self.init_from is not None:
            self.begin_from(read_checkpoint(self.init_from), self.init_from)

    def begin_from(self, checkpoint: Checkpoint, name: str) -> None:
        """Start the search from the parameters of another controller.

        Raises:
            ValueError: the checkpoint is not a controller's, or one with another VAE or memory.
        """
        check_kind(checkpoint, f"init_from {name}", ("Controller",), "make controller")
        weights, own = checkpoint.state_dict, self.world.state_dict()
        unlike = [k for k, x in own.items() if f"world.{k}" not in weights or not torch.equal(weights[f"world.{k}"], x)]
        if unlike or weights["controller"].shape != self.controller.shape:
            raise ValueError(
                f"init_from {name} is a controller on another VAE or memory ({', '.join(unlike[:2])}); give "
                "--model.memory the one that it was found with"
            )
        self.controller.data.copy_(weights["controller"])
        self.evolution = Evolution(
            weights["controller"].double().numpy(), self.search.sigma, self.search.pop_size, self.search.seed
        )

    @property
    def beginnings(self) -> Tensor:
        """Codes of first frames float32 [S, 2 * latent], from which dreams start."""
        return self.starts[: int(self.num_starts)]

    def initial_state(self, n: int, device: torch.device | str = "cpu") -> MemoryState:
        """Memory before an episode's first frame, for n environments."""
        return self.world.initial_state(n, device)

    @torch.no_grad()
    def policy(self, frames: Tensor, first: Tensor, state: MemoryState) -> tuple[dict[str, Tensor], MemoryState]:
        """Controls float32 [N, 1] by name for frames uint8 [N, 1, 64, 64, 3], and the new memory."""
        if frames.shape[1] != 1:
            raise ValueError(f"a controller sees one frame at a time, but {frames.shape[1]} were given")
        kept = ~first
        state = (state[0] * kept, state[1] * kept)
        z = self.world.vae.encode(frames[:, 0]).mean
        actions = drive(self.controller.expand(len(z), -1), self.world.features(z, state))
        said = {name: actions[:, index : index + 1] for index, name in enumerate(self.world.controls)}
        return said | {"gear_change": torch.zeros_like(actions[:, :1])}, self.world.remember(z, actions, state)

    def training_step(self, batch: object, batch_idx: int) -> None:
        """Report the returns of the generation to the search."""
        if len(self.returns) != self.search.pop_size:
            raise ValueError(
                "the candidates were not driven: add the callback racing_vpt.callbacks.evolution.EvolutionRollouts"
            )
        self.evolution.tell(self.candidates, self.returns)
        values = {"mean": self.returns.mean(), "best": self.returns.max(), "worst": self.returns.min()}
        self.log_dict({f"train/return_{name}": float(x) for name, x in values.items()}, prog_bar=True, batch_size=1)
        self.log("train/sigma", self.evolution.sigma, batch_size=1)
        optimizer = self.optimizers()
        self.controller.grad = torch.zeros_like(self.controller)
        optimizer.step()  # type: ignore[union-attr] # changes nothing; the trainer counts generations by it
        if self.best_return <= UNJUDGED:
            self.controller.data.copy_(torch.from_numpy(self.evolution.mean))
        self.returns = np.zeros(0)

    def adopt(self, parameters: np.ndarray, earned: float) -> bool:
        """Take over parameters that earned more than the best before; returns whether they did."""
        if earned <= float(self.best_return):
            return False
        self.controller.data.copy_(torch.from_numpy(parameters))
        self.best_return.fill_(earned)
        return True

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["evolution"] = self.evolution.state()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        if "evolution" in checkpoint:
            self.evolution.restore(checkpoint["evolution"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.controller], lr=0.0)
