"""The world model of IRIS, trained on the tokens of a frozen tokenizer.

Micheli et al. 2022 (arXiv:2209.00588), section 2.2 and appendix A.2. Frames are encoded once and their tokens kept
(`data/codes.py`); a checkpoint contains the tokenizer's weights too. Transformer, positions, rewards and actions are
options; see `nn/token_world.py`, `nn/frame_world.py` and `nn/pretrained_blocks.py` for how each differs from the paper.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from racing_vpt.games.read import as_game
from racing_vpt.models.look_ahead import ROWS, LookAhead, long_enough, next_frames
from racing_vpt.models.module import Schedule, with_schedule
from racing_vpt.models.parts import STARTS, load_tokenizer
from racing_vpt.models.processes import logged_size, shares
from racing_vpt.models.world_config import WorldConfig
from racing_vpt.nn.imagination import Imagined
from racing_vpt.nn.outcomes import numbers_of
from racing_vpt.nn.quantizer import perplexity, usage
from racing_vpt.nn.token_net import TokenState, known_in
from racing_vpt.nn.tokenizer_net import TokenizerConfig, TokenizerNet, pictures_of
from racing_vpt.types import Batch, Frame, FrameChanges, frame_spec


class TokenWorld(LightningModule):
    """A world model over the tokens of a trained tokenizer; implements `imagination.World`.

    Args:
        game: name or file of the game, or all that its file says.
        frames: how the frames that the tokenizer sees differ from the game's for world models; as it was trained.
        tokenizer: network of the tokenizer; as it was trained.
        world: network of the world model.
        init_tokenizer: checkpoint of the tokenizer, needed for training (path, run folder or zoo:NAME).
        init_from: checkpoint of a world model to take initial weights from, as far as they fit: one of other tracks,
            or of another game (path, run folder or zoo:NAME).
        schedule: shape of the learning rate after the warm-up.
        warmup_steps: steps over which the learning rate rises from 0.
        optimizer: built from the world model's parameters.
    """

    GAME_FRAMES = "world_frames"
    start_tokens: Tensor
    start_actions: Tensor
    num_starts: Tensor
    used: Tensor

    def __init__(
        self,
        game: str | dict = "carracing",
        frames: FrameChanges = FrameChanges(),  # noqa: B008 - frozen
        tokenizer: TokenizerConfig = TokenizerConfig(),  # noqa: B008 - frozen
        world: WorldConfig = WorldConfig(),  # noqa: B008 - frozen
        init_tokenizer: str | None = None,
        init_from: str | None = None,
        schedule: Schedule = "constant",
        warmup_steps: int = 0,
        optimizer: OptimizerCallable = lambda weights: torch.optim.AdamW(weights, lr=1e-4, weight_decay=0.01),
    ) -> None:
        super().__init__()
        self.game = as_game(game)
        self.frames = frame_spec(frames, self.game.world_frames)
        self.config = world
        self.size = world.widths
        self.init_tokenizer = init_tokenizer
        self.init_from = init_from
        self.schedule = schedule
        self.warmup_steps = warmup_steps
        self.optimizer = optimizer
        self.tokenizer = TokenizerNet(tokenizer).requires_grad_(False)
        self.grid = self.tokenizer.grid(self.frames.height, self.frames.width)
        self.num_tokens = self.grid[0] * self.grid[1]
        self.scheme = self.game.scheme(kind="world")
        self.net = world.build(self.scheme, tokenizer.vocabulary, self.num_tokens)
        starts = (STARTS, self.size.window)
        self.register_buffer("start_tokens", torch.zeros(*starts, self.num_tokens, dtype=torch.int32))
        self.register_buffer("start_actions", torch.zeros(*starts, len(self.scheme.controls)))
        self.register_buffer("num_starts", torch.zeros((), dtype=torch.int64))
        self.register_buffer("used", torch.zeros(tokenizer.vocabulary), persistent=False)
        self.ahead = LookAhead()

    def setup(self, stage: str) -> None:
        if stage != "fit":
            return
        if self.init_tokenizer is None:
            raise ValueError(
                "a world model is trained on the tokens of a tokenizer: name one with --model.init_tokenizer (make "
                "iris-tokenizer first)"
            )
        from racing_vpt.checkpoints.load import read_checkpoint

        load_tokenizer(self.tokenizer, self.frames, read_checkpoint(self.init_tokenizer), self.init_tokenizer)
        if self.trainer.ckpt_path is not None:
            return
        self.begin_with_codes()
        self.load_pretrained_blocks()
        if self.init_from is not None:
            self.take_weights(read_checkpoint(self.init_from).state_dict, self.init_from)

    def load_pretrained_blocks(self) -> None:
        """Load the weights of a language model's blocks, if configured."""
        if self.config.pretrained is not None:
            self.net.blocks = self.config.blocks(self.num_tokens, weights=True)

    def begin_with_codes(self) -> None:
        """Initialize the token embeddings from the tokenizer's codes, so that similar tokens start out similar."""
        self.net.take_codes(self.tokenizer.quantizer.lookup(torch.arange(self.net.vocabulary)))

    def take_weights(self, state: dict[str, Tensor], name: str) -> None:
        """Load the matching weights of another world model's network; ValueError if its blocks differ.

        Tokens of another tokenizer and other controls have other meanings; their embeddings and heads are nevertheless
        loaded where the shapes match.
        """
        own = {f"net.{key}": x for key, x in self.net.state_dict().items()}
        fitting = {key: x for key, x in state.items() if key in own and x.shape == own[key].shape}
        missing = [key for key in own if key.startswith("net.blocks.") and key not in fitting]
        if missing:
            raise ValueError(
                f"init_from {name} has other blocks than this world model: {', '.join(missing[:3])} and "
                f"{max(0, len(missing) - 3)} more; give its size, architecture and positions, or another checkpoint"
            )
        self.net.load_state_dict({key.removeprefix("net."): x for key, x in fitting.items()}, strict=False)

    # ------------------------------------------------------------ tokens, computed once (`data/codes.py`)

    def encoder_fingerprint(self) -> str:
        """Fingerprint of the tokenizer's weights."""
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
        """Codes float32 [N, K * D] of tokens [N, K], concatenated."""
        return self.tokenizer.quantizer.lookup(observations).flatten(1)

    def initial(self, batch: int) -> TokenState:
        """State of `batch` rows before the first observation."""
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
        """States after the stored beginnings with these numbers, int64 [B]; ValueError if none is stored."""
        if not self.num_starts:
            raise ValueError(
                "this world model was never trained and has no beginnings to start from; train it: make iris-world"
            )
        rows = rows % min(int(self.num_starts), STARTS)
        return self.observe(self.start_tokens[rows].long(), self.start_actions[rows], self.initial(len(rows)))

    # ------------------------------------------------------------ training

    def tokens_in(self, batch: Batch) -> Tensor:
        """The tokens int64 [B, T, K] of a batch."""
        if batch.codes is None:
            raise ValueError(
                "a world model learns from tokens; give batches with codes, as racing_vpt's data modules do"
            )
        return batch.codes.round().long()

    def known(self, batch: Batch) -> dict[str, Tensor]:
        """As `known_in`."""
        ended_known = torch.zeros_like(batch.valid)
        ended_known[:, :-1] = True  # what follows the last frame of a clip is unknown
        return known_in(batch.first, batch.valid, ended_known)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """As `TokenWorldNet.losses`; an action ended the episode where padding follows its frame."""
        ended = torch.zeros_like(batch.valid)
        ended[:, :-1] = batch.valid[:, :-1] & ~batch.valid[:, 1:]
        actions, known = numbers_of(batch.controls, self.scheme), self.known(batch)
        weights = dict(zip(known, shares(self, torch.stack([x.sum() for x in known.values()])), strict=True))
        return self.net.losses(self.tokens_in(batch), actions, batch.first, known, batch.rewards, ended, weights)

    def share(self, batch: Batch, stage: str) -> Tensor:
        """Loss of a batch; logs all of `losses`."""
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
        """Store the beginning of the first clip that is long enough; the latest `STARTS` are kept."""
        W = self.size.window
        whole = batch.valid[:, :W].all(1) & (batch.valid.shape[1] >= W) & ~batch.first[:, 1:W].any(1)
        for row in whole.nonzero()[:1, 0]:
            at = int(self.num_starts) % STARTS
            actions = numbers_of(batch.controls, self.scheme)[row]
            self.start_tokens[at] = self.tokens_in(batch)[row, :W].to(torch.int32)
            self.start_actions[at, 1:] = actions[: W - 1]  # an action is stored with the frame that it led to
            self.num_starts += 1

    def on_validation_epoch_start(self) -> None:
        self.used.zero_()
        self.ahead.clear()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.tokenizer.eval()
        self.share(batch, "val")
        self.look(batch)

    def look(self, batch: Batch) -> None:
        """Evaluate look-ahead on the clips of a batch, and count their tokens."""
        self.used += usage(self.tokens_in(batch)[batch.valid], self.net.vocabulary)
        rows = long_enough(batch, self.frames.stride)[:ROWS]
        if rows:
            truth = torch.stack([self.true_pictures(batch, row) for row in rows])  # (R, T, 3, H, W)
            actions = numbers_of(batch.controls, self.scheme)[rows]
            self.ahead.add(self, self.tokens_in(batch)[rows], actions, truth)

    def true_pictures(self, batch: Batch, row: int) -> Tensor:
        """Frames float [T, 3, H, W] in [0, 1] of a clip; where there are none, decoded from its tokens."""
        if batch.frames.shape[1]:
            return pictures_of(batch.frames[row])
        frames_behind = getattr(getattr(self._trainer, "datamodule", None), "frames_of", None)
        if frames_behind is None:
            return self.show(self.tokens_in(batch)[row])
        return pictures_of(torch.from_numpy(np.ascontiguousarray(frames_behind(batch, row)))).to(batch.valid.device)

    def looked(self) -> dict[str, float]:
        """Look-ahead metrics over all ranks, by logged name."""
        used = self.used
        if self._trainer is not None and self._trainer.world_size > 1:
            used = cast(Tensor, self._trainer.strategy.reduce(used.clone(), reduce_op="sum"))
        use = {
            "codebook_use": float((used > 0).float().mean()),
            "codebook_perplexity": float(perplexity(used)),
        }
        return {f"val/{name}": x for name, x in {**self.ahead.figures(self._trainer), **use}.items()}

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.looked(), sync_dist=True)

    def pictures(self, batch: Batch) -> dict[str, Frame]:
        """`imagined` uint8 [H, W, 3] of the longest clip; see `look_ahead.next_frames`."""
        row = int(batch.valid.sum(1).argmax())
        T = int(batch.valid[row].sum())
        actions = numbers_of(batch.controls, self.scheme)[row, :T]
        return {"imagined": next_frames(self, self.tokens_in(batch)[row, :T], actions, self.true_pictures(batch, row))}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        trained = [x for x in self.net.parameters() if x.requires_grad]
        return with_schedule(self, self.optimizer(trained), self.schedule, self.warmup_steps)
