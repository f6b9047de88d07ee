"""The world model of IRIS, trained on the tokens of a frozen tokenizer.

Micheli et al. 2022 (arXiv:2209.00588), section 2.2 and appendix A.2. Tokens are made once and kept (`data/codes.py`);
the tokenizer's weights are kept with the model's. Which transformer, which positions, which kind of rewards and actions
are choices; see `nn/token_world.py`, `nn/frame_world.py` and `nn/pretrained_blocks.py` for how each differs from the
paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from racing_vpt.games.controls import control_scheme
from racing_vpt.models.encoder import WORLD_FRAMES
from racing_vpt.models.look_ahead import LookAhead, next_frames
from racing_vpt.models.module import Schedule, with_schedule
from racing_vpt.models.processes import logged_size, shares
from racing_vpt.models.tokenizer import Tokenizer
from racing_vpt.models.tokenizer_use import take_tokenizer
from racing_vpt.nn.frame_world import FrameWorld
from racing_vpt.nn.imagination import Imagined
from racing_vpt.nn.mixture_world import MixtureWorld, Recurrence
from racing_vpt.nn.outcomes import ActionKind, RewardKind, numbers_of
from racing_vpt.nn.pretrained_blocks import PretrainedBlocks
from racing_vpt.nn.quantizer import perplexity, usage
from racing_vpt.nn.sizes import named_size
from racing_vpt.nn.token_blocks import WORLD_SIZES, Blocks, Positions, WorldSize
from racing_vpt.nn.token_net import TokenState, TokenWorldNet, known_in
from racing_vpt.nn.token_world import GPTWorld
from racing_vpt.nn.tokenizer_net import QuantizerKind, TokenizerSize
from racing_vpt.types import Batch, Frame, FrameSpec, frame_spec

Architecture = Literal["gpt", "frame", "mdn-rnn"]
NETS: dict[Architecture, Callable[..., TokenWorldNet]] = {"gpt": GPTWorld, "frame": FrameWorld, "mdn-rnn": MixtureWorld}
STARTS = 64  # beginnings that are kept, for dreams to start from


def adamw(parameters: Iterable) -> torch.optim.Optimizer:
    """The paper's optimizer."""
    return torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.01)


class TokenWorld(LightningModule):
    """A world model over the tokens of a trained tokenizer; it is an `imagination.World`.

    Args:
        tokenizer: checkpoint of the tokenizer (path, run folder or zoo:NAME).
        frames: what the tokenizer wants to see; it must be the same as there.
        size: `paper`, `tiny`, or all settings of the transformer.
        tokenizer_size: the tokenizer's; None: of the same name.
        quantizer: the tokenizer's.
        vocabulary: the tokenizer's.
        levels: the tokenizer's.
        architecture: `gpt`, token by token as IRIS; `frame`, one step a frame as STORM; or `mdn-rnn`, an LSTM and a
            mixture as World Models.
        positions: of a transformer: `rotary`, whose window slides, or `absolute`, the paper's, which is flushed.
        pretrained: folder of a causal language model (as Hugging Face's transformers saves it) whose blocks take the
            place of ours; of `size` only the window counts then.
        scheme: name of the control scheme.
        actions: `continuous`, the controls' numbers projected, or `discrete`, classes of the scheme's heads.
        reward: `symlog`, a distribution over sizes, or `sign`, the paper's.
        unroll: frames that it imagines in training, in some clips, and goes on from; 0: it sees true ones alone. Not
            for `gpt`.
        init_from: checkpoint of a world model of ours whose weights training starts from, as far as they fit: one of
            other tracks, or of another game (path, run folder or zoo:NAME).
        schedule: how the learning rate falls after the warm-up.
        warmup_steps: steps over which it rises from 0.
        optimizer: made from the world model's parameters.
    """

    start_tokens: Tensor
    start_actions: Tensor
    num_starts: Tensor
    used: Tensor

    def __init__(
        self,
        tokenizer: str | None = None,
        frames: FrameSpec = WORLD_FRAMES,
        size: Literal["paper", "tiny"] | WorldSize | dict = "paper",
        tokenizer_size: Literal["paper", "tiny"] | TokenizerSize | dict | None = None,
        quantizer: QuantizerKind = "vq",
        vocabulary: int = 512,
        levels: tuple[int, ...] = (8, 8, 8),
        architecture: Architecture = "gpt",
        positions: Positions = "rotary",
        pretrained: str | None = None,
        scheme: str = "carracing",
        actions: ActionKind = "continuous",
        reward: RewardKind = "symlog",
        unroll: int = 0,
        init_from: str | None = None,
        schedule: Schedule = "constant",
        warmup_steps: int = 0,
        optimizer: OptimizerCallable = adamw,
    ) -> None:
        super().__init__()
        if architecture == "mdn-rnn" and pretrained is not None:
            raise ValueError("an mdn-rnn has no blocks that a language model's could replace: give gpt or frame")
        if tokenizer_size is None and not isinstance(size, str):
            raise ValueError("a size that has no name needs the tokenizer's beside it: give --model.tokenizer_size")
        self.frames = frame_spec(frames)
        self.tokenizer_name, self.init_from, self.pretrained = tokenizer, init_from, pretrained
        self.schedule, self.warmup_steps, self.optimizer = schedule, warmup_steps, optimizer
        same: str | TokenizerSize | dict = size if tokenizer_size is None else tokenizer_size  # type: ignore[assignment]
        coder = Tokenizer(self.frames, same, quantizer, vocabulary, levels, perceptual=None)  # type: ignore[arg-type]
        self.tokenizer = coder.net.requires_grad_(False)
        self.grid = self.tokenizer.grid(self.frames.height, self.frames.width)
        self.size, num_tokens = named_size(size, WORLD_SIZES, "world model"), self.grid[0] * self.grid[1]
        self.step_tokens = num_tokens + 1 if architecture == "gpt" else 1
        self.scheme = control_scheme(scheme)
        if unroll < 0 or (unroll and architecture == "gpt"):
            raise ValueError(
                f"unroll counts from 0 and is for architectures that tell a frame at once, frame or mdn-rnn, but it is "
                f"{unroll} with {architecture}"
            )
        blocks = Recurrence(self.size) if architecture == "mdn-rnn" else self.blocks(positions, weights=False)
        self.net: TokenWorldNet = NETS[architecture](
            blocks, self.scheme, vocabulary, num_tokens, actions, reward, unroll
        )
        self.register_buffer("start_tokens", torch.zeros(STARTS, self.size.window, num_tokens, dtype=torch.int32))
        self.register_buffer("start_actions", torch.zeros(STARTS, self.size.window, len(self.scheme.controls)))
        self.register_buffer("num_starts", torch.zeros((), dtype=torch.int64))
        self.register_buffer("used", torch.zeros(vocabulary), persistent=False)
        self.ahead = LookAhead()

    def blocks(self, positions: Positions, weights: bool) -> Blocks | PretrainedBlocks:
        """The transformer: ours, or the pretrained one, its weights loaded where asked for."""
        if self.pretrained is None:
            return Blocks(self.size, positions, self.step_tokens)
        from racing_vpt.models.pretrained import language_model_blocks

        return language_model_blocks(self.pretrained, self.size.window, self.step_tokens, weights)

    def setup(self, stage: str) -> None:
        if stage != "fit":
            return
        if self.tokenizer_name is None:
            raise ValueError(
                "a world model is trained on the tokens of a tokenizer: name one with --model.tokenizer (make "
                "iris-tokenizer first)"
            )
        from racing_vpt.checkpoints.load import read_checkpoint

        take_tokenizer(self.tokenizer, self.frames, read_checkpoint(self.tokenizer_name), self.tokenizer_name)
        if self.trainer.ckpt_path is not None:
            return
        self.begin_with_codes()
        if self.pretrained is not None:
            self.net.blocks = self.blocks("rotary", weights=True)
        if self.init_from is not None:
            self.take_weights(read_checkpoint(self.init_from).state_dict, self.init_from)

    def begin_with_codes(self) -> None:
        """Let tokens be alike to an untrained network where they are to the tokenizer."""
        self.net.take_codes(self.tokenizer.quantizer.lookup(torch.arange(self.net.vocabulary)))

    def take_weights(self, state: dict[str, Tensor], name: str) -> None:
        """Load what fits of another world model's network; ValueError where its blocks are others.

        Another tokenizer's tokens mean other things, and other controls are others: their embeddings and heads are
        taken where they have the same shape, for what they are worth.
        """
        own = {f"net.{key}": x for key, x in self.net.state_dict().items()}
        fitting = {key: x for key, x in state.items() if key in own and x.shape == own[key].shape}
        missing = [key for key in own if key.startswith("net.blocks.") and key not in fitting]
        if missing:
            raise ValueError(
                f"init_from {name} has other blocks than this world model: {', '.join(missing[:3])} and "
                f"{max(0, len(missing) - 3)} more; take its size, architecture and positions, or another checkpoint"
            )
        self.net.load_state_dict({key.removeprefix("net."): x for key, x in fitting.items()}, strict=False)

    # ------------------------------------------------------------ tokens that are made once (`data/codes.py`)

    def encoder_fingerprint(self) -> str:
        """Names the weights of the tokenizer."""
        from racing_vpt.checkpoints.folder import fingerprint

        return fingerprint(self.tokenizer.state_dict())

    @torch.no_grad()
    def code_frames(self, frames: Tensor) -> Tensor:
        """Tokens as float32 [N, K] of frames uint8 [N, H, W, 3]."""
        self.tokenizer.eval()
        return self.tokenizer.tokens(frames.to(self.device)).float().cpu()

    # ------------------------------------------------------------ an `imagination.World`

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of an action's numbers, in their order."""
        return self.net.controls

    def code(self, frames: Tensor) -> Tensor:
        """Tokens int64 [N, K] of frames uint8 [N, H, W, 3]."""
        return self.tokenizer.eval().tokens(frames)

    def show(self, observations: Tensor) -> Tensor:
        """Pictures float32 [N, 3, H, W] in [0, 1] of tokens [N, K]."""
        return self.tokenizer.pictures(observations, self.grid[1])

    def codes(self, observations: Tensor) -> Tensor:
        """The tokenizer's codes float32 [N, K * D] of tokens [N, K], side by side."""
        return self.tokenizer.quantizer.lookup(observations).flatten(1)

    def initial(self, batch: int) -> TokenState:
        """The state of `batch` rows that saw nothing."""
        return self.net.initial(batch)

    def observe(
        self, observations: Tensor, actions: Tensor, state: TokenState, first: Tensor | None = None
    ) -> TokenState:
        """As `imagination.World.observe`."""
        return self.net.observe(observations, actions, state, first)

    def imagine(
        self, actions: Tensor, state: TokenState, tau: float = 1.0, generator: torch.Generator | None = None
    ) -> Imagined:
        """As `imagination.World.imagine`."""
        return self.net.imagine(actions, state, tau, generator)

    @torch.no_grad()
    def begin(self, rows: Tensor) -> TokenState:
        """States that saw the kept beginnings of these numbers, int64 [B]; ValueError where none was kept."""
        if not self.num_starts:
            raise ValueError("this world model was never trained, so that it has no beginning to start from")
        rows = rows % min(int(self.num_starts), STARTS)
        return self.observe(self.start_tokens[rows].long(), self.start_actions[rows], self.initial(len(rows)))

    # ------------------------------------------------------------ training

    def tokens_in(self, batch: Batch) -> Tensor:
        """The tokens int64 [B, T, K] of a batch."""
        if batch.codes is None:
            raise ValueError("a world model learns from tokens; give its batches by racing_vpt's VideoDataModule")
        return batch.codes.round().long()

    def known(self, batch: Batch) -> dict[str, Tensor]:
        """As `known_in`."""
        told = torch.zeros_like(batch.valid)
        told[:, :-1] = True  # what follows a clip nobody knows
        return known_in(batch.first, batch.valid, told)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """As `TokenWorldNet.losses`; where padding follows a frame, its action ended the episode."""
        ended = torch.zeros_like(batch.valid)
        ended[:, :-1] = batch.valid[:, :-1] & ~batch.valid[:, 1:]
        actions, known = numbers_of(batch.controls, self.scheme), self.known(batch)
        weights = dict(zip(known, shares(self, torch.stack([x.sum() for x in known.values()])), strict=True))
        return self.net.losses(self.tokens_in(batch), actions, batch.first, known, batch.rewards, ended, weights)

    def share(self, batch: Batch, stage: str) -> Tensor:
        """The loss of a batch; logs all of `losses`."""
        losses, whole = self.losses(batch), stage != "train"
        known = self.known(batch)
        for name, x in losses.items():
            count = known.get(name, batch.valid).sum()
            size = logged_size(self, count) if whole else max(1, int(count))
            self.log(
                f"{stage}/{name}", x.detach(), batch_size=size, on_epoch=whole, sync_dist=whole, prog_bar=not whole
            )
        return losses["loss"]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.tokenizer.eval()
        self.keep_start(batch)
        return self.share(batch, "train")

    def keep_start(self, batch: Batch) -> None:
        """Keep the beginning of the first clip that is long enough, the newest `STARTS` of them."""
        W = self.size.window
        whole = batch.valid[:, :W].all(1) & (batch.valid.shape[1] >= W) & ~batch.first[:, 1:W].any(1)
        for row in whole.nonzero()[:1, 0]:
            at = int(self.num_starts) % STARTS
            actions = numbers_of(batch.controls, self.scheme)[row]
            self.start_tokens[at] = self.tokens_in(batch)[row, :W].to(torch.int32)
            self.start_actions[at, 1:] = actions[: W - 1]  # each led to the frame beside which it is kept
            self.num_starts += 1

    def on_validation_epoch_start(self) -> None:
        self.used.zero_()
        self.ahead.clear()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.tokenizer.eval()
        self.share(batch, "val")
        self.look(batch)

    def look(self, batch: Batch) -> None:
        """Look ahead on the clips of a batch, and count the tokens in them."""
        self.used += usage(self.tokens_in(batch)[batch.valid], self.net.vocabulary)
        self.ahead.add(self, batch)

    def looked(self) -> dict[str, float]:
        """What all of that came to, on all processes, by name in the log."""
        used = self.used
        if self._trainer is not None and self._trainer.world_size > 1:
            used = cast(Tensor, self._trainer.strategy.reduce(used.clone(), reduce_op="sum"))
            self.ahead.gather(self._trainer.world_size)
        use = {
            "codebook_use": float((used > 0).float().mean()),
            "codebook_perplexity": float(perplexity(used)),
        }
        return {f"val/{name}": x for name, x in {**self.ahead.figures(), **use}.items()}

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.looked(), sync_dist=True)

    def pictures(self, batch: Batch) -> dict[str, Frame]:
        """`imagined` uint8 [H, W, 3]; see `look_ahead.next_frames`."""
        return {"imagined": next_frames(self, batch)}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        trained = [x for x in self.net.parameters() if x.requires_grad]
        return with_schedule(self, self.optimizer(trained), self.schedule, self.warmup_steps)
