"""The controller of World Models: 867 numbers between what is seen and remembered, and the controls.

Ha & Schmidhuber 2018 (arXiv:1803.10122), appendix A.3: one linear layer, steering = tanh(a), brake = tanh(c) where that
is positive, throttle = (tanh(b) + 1) / 2; CMA-ES. Each generation is one training step: `EvolutionRollouts` puts
candidates on tracks, or into a dream, and says what they earned. Nothing is learnt from gradients. Unlike the
paper, a frame's code is its mean, and who drives is settled by driving again on tracks that are kept for that.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from racing_vpt.checkpoints.folder import Checkpoint
from racing_vpt.games.controls import CARRACING_CONTROLS, control_scheme
from racing_vpt.models.encoder import STARTS, WORLD_FRAMES, take_encoder, take_memory
from racing_vpt.nn.evolution import Evolution
from racing_vpt.nn.memory import MemoryNet, MemoryState
from racing_vpt.nn.vae_net import VAENet
from racing_vpt.nn.world import WorldNet, drive
from racing_vpt.types import FrameSpec, frame_spec

UNJUDGED = -1e9  # no infinity, which a checkpoint refuses
Memory = Literal["trained", "random", "zero", "none"]


class Controller(LightningModule):
    """A linear controller on a VAE's code and a memory, found by CMA-ES.

    Args:
        memory: checkpoint of the memory, which holds its VAE too (path, run folder or zoo:NAME).
        vae: checkpoint of a VAE, where there is no memory. With both, they must belong together.
        memory_use: `trained`; `random`: an LSTM that was never trained; `zero`: it is there, but holds nothing; `none`:
            the code of the frame alone.
        frames: what the VAE wants to see.
        latent: numbers of a code.
        width: of the memory.
        components: Gaussians of the memory for each number.
        pop_size: candidates in a generation.
        n_samples: tracks that each candidate drives in a generation, the same for all.
        sigma: first step size of CMA-ES.
        target_return: the search ends where the best controller earns so much on the tracks kept for judging it.
        init_from: checkpoint of a controller on the same memory at whose numbers the search begins, such as one that
            was found in a dream.
        seed: of the search, and of a random memory.
    """

    act = "controls"  # `policy` says controls, not how likely each class is
    learns_from = "experience"  # the data module then counts steps only
    best_return: Tensor
    starts: Tensor
    num_starts: Tensor

    def __init__(
        self,
        memory: str | None = None,
        vae: str | None = None,
        memory_use: Memory = "trained",
        frames: FrameSpec = WORLD_FRAMES,
        latent: int = 32,
        width: int = 256,
        components: int = 5,
        pop_size: int = 64,
        n_samples: int = 16,
        sigma: float = 0.1,
        target_return: float | None = None,
        init_from: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if n_samples < 1:
            raise ValueError(f"n_samples counts tracks from 1, but {n_samples} was given")
        self.automatic_optimization = False
        self.frames = frame_spec(frames)
        self.scheme = control_scheme("car")
        self.memory_name, self.vae_name, self.memory_use = memory, vae, memory_use
        self.pop_size, self.n_samples, self.target_return = pop_size, n_samples, target_return
        self.init_from, self.sigma, self.seed = init_from, sigma, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # a random memory is the same in a run that is continued
            net = None if memory_use == "none" else MemoryNet(latent, len(CARRACING_CONTROLS), width, components)
        self.world = WorldNet(VAENet(latent), net, memory_use == "zero").requires_grad_(False)
        count = len(CARRACING_CONTROLS) * (self.world.width + 1)
        self.controller = torch.nn.Parameter(torch.zeros(count))
        self.evolution = Evolution(np.zeros(count), sigma, pop_size, seed)
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
                "a controller drives by a trained memory: name one with --model.memory (make mdnrnn first), or give "
                "--model.vae and --model.memory_use none"
            )
        if self.memory_name is not None:
            checkpoint = read_checkpoint(self.memory_name)
            trained = self.memory_use == "trained"
            starts = take_memory(self.world, self.frames, checkpoint, self.memory_name, trained)
            self.num_starts.fill_(len(starts))
            self.starts[: len(starts)] = starts
        if self.vae_name is not None:
            own = self.world.vae.state_dict()
            given = VAENet(self.world.vae.latent)
            take_encoder(given, self.frames, read_checkpoint(self.vae_name), self.vae_name)
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
        """Search from the numbers of another controller on.

        Raises:
            ValueError: it holds none, or one that sees or remembers otherwise.
        """
        if not checkpoint.class_path.endswith(".Controller"):
            raise ValueError(f"init_from {name} holds a {checkpoint.class_path}, but a Controller is needed")
        weights, own = checkpoint.state_dict, self.world.state_dict()
        unlike = [k for k, x in own.items() if f"world.{k}" not in weights or not torch.equal(weights[f"world.{k}"], x)]
        if unlike or weights["controller"].shape != self.controller.shape:
            raise ValueError(
                f"init_from {name} is a controller on another eye or memory ({', '.join(unlike[:2])}); give "
                "--model.memory the one that it was found with"
            )
        self.controller.data.copy_(weights["controller"])
        self.evolution = Evolution(weights["controller"].double().numpy(), self.sigma, self.pop_size, self.seed)

    @property
    def beginnings(self) -> Tensor:
        """Codes of first frames float32 [S, 2 * latent], for dreams to start from."""
        return self.starts[: int(self.num_starts)]

    def initial_state(self, n: int, device: torch.device | str = "cpu") -> MemoryState:
        """The memory before an episode's first frame, for n environments."""
        return self.world.initial_state(n, device)

    @torch.no_grad()
    def policy(self, frames: Tensor, first: Tensor, state: MemoryState) -> tuple[dict[str, Tensor], MemoryState]:
        """Controls float32 [N, 1] by name for frames uint8 [N, 1, 64, 64, 3], and the memory after them."""
        if frames.shape[1] != 1:
            raise ValueError(f"a controller sees one frame at a time, but {frames.shape[1]} were given")
        kept = ~first
        state = (state[0] * kept, state[1] * kept)
        z = self.world.vae.encode(frames[:, 0]).mean
        actions = drive(self.controller.expand(len(z), -1), self.world.features(z, state))
        said = {name: actions[:, index : index + 1] for index, name in enumerate(CARRACING_CONTROLS)}
        return said | {"gear_change": torch.zeros_like(actions[:, :1])}, self.world.remember(z, actions, state)

    def training_step(self, batch: object, batch_idx: int) -> None:
        """Tell the search what the generation earned."""
        if len(self.returns) != self.pop_size:
            raise ValueError(
                "nobody drove the candidates: add callback racing_vpt.callbacks.evolution.EvolutionRollouts"
            )
        self.evolution.tell(self.candidates, self.returns)
        values = {"mean": self.returns.mean(), "best": self.returns.max(), "worst": self.returns.min()}
        self.log_dict({f"train/return_{name}": float(x) for name, x in values.items()}, prog_bar=True, batch_size=1)
        self.log("train/sigma", self.evolution.sigma, batch_size=1)
        optimizer = self.optimizers()
        self.controller.grad = torch.zeros_like(self.controller)
        optimizer.step()  # type: ignore[union-attr] # moves nothing; the trainer counts generations by it
        if self.best_return <= UNJUDGED:
            self.controller.data.copy_(torch.from_numpy(self.evolution.mean))
        self.returns = np.zeros(0)

    def adopt(self, parameters: np.ndarray, earned: float) -> bool:
        """Drive by these numbers from now on if they earn more than the best before; whether they do."""
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
