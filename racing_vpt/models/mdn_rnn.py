"""The MDN-RNN of World Models, trained on codes: predicts the next code, the reward and the end of the episode.

Ha & Schmidhuber 2018 (arXiv:1803.10122), appendix A.2. Codes are sampled anew from their Gaussians for each batch.
Unlike the paper: heads for reward and end (their losses are added to the likelihood, which is a mean over dimensions
and frames), and sequences are clips of `data.clip_frames`: whole episodes where these are not longer. A checkpoint
contains the VAE's weights too, so that an MDN-RNN is never used with another VAE than its own.
"""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from torch.nn import functional as F

from racing_vpt.frames import film_strip
from racing_vpt.games.read import as_game
from racing_vpt.models.look_ahead import ROWS, LookAhead, long_enough, steps_ahead
from racing_vpt.models.parts import STARTS, load_vae
from racing_vpt.models.processes import logged_size, shares
from racing_vpt.nn.masked import masked_mean
from racing_vpt.nn.memory import MemoryNet
from racing_vpt.nn.memory_world import MemoryWorld
from racing_vpt.nn.vae_net import Code, VAENet
from racing_vpt.types import Batch, Frame, FrameChanges, frame_spec

TAUS = (0.0, 0.5, 1.0)
SHOWN = 8  # frames in a picture
LEAST_REWARD = -10.0  # floor of rewards: leaving CarRacing's field costs 100, which squared would dominate the tiles
REWARD_WEIGHT = 0.1  # weight of the squared error of rewards in the loss


class MDNRNN(LightningModule):
    """An LSTM with a mixture density head over the codes of a trained VAE.

    Args:
        vae: checkpoint of the VAE, needed for training (path, run folder or zoo:NAME).
        game: name or file of the game, or all that its file says.
        frames: how the frames that the VAE sees differ from the game's for world models; as it was trained.
        latent: dimensions of a code; as in the VAE.
        width: width of the LSTM.
        components: Gaussians of the mixture for each dimension of the next code.
        outcomes: predict reward and end of an episode too, which dreaming needs.
        optimizer: built from the parameters of LSTM and heads.
    """

    starts: Tensor
    num_starts: Tensor

    GAME_FRAMES = "world_frames"

    def __init__(
        self,
        vae: str | None = None,
        game: str | dict = "carracing",
        frames: FrameChanges = FrameChanges(),  # noqa: B008 - frozen
        latent: int = 32,
        width: int = 256,
        components: int = 5,
        outcomes: bool = True,
        optimizer: OptimizerCallable = lambda weights: torch.optim.Adam(weights, lr=1e-3),
    ) -> None:
        super().__init__()
        self.game = as_game(game)
        self.frames = frame_spec(frames, self.game.world_frames)
        self.controls = self.game.scheme(kind="world").controls
        self.vae_name = vae
        self.optimizer = optimizer
        self.vae = VAENet(latent).requires_grad_(False)
        self.net = MemoryNet(latent, len(self.controls), width, components, outcomes)
        self.ahead = LookAhead()
        self.register_buffer("starts", torch.zeros(STARTS, 2 * latent))
        self.register_buffer("num_starts", torch.zeros((), dtype=torch.int64))

    def setup(self, stage: str) -> None:
        if stage != "fit":
            return
        if self.vae_name is None:
            raise ValueError("an MDN-RNN is trained on the codes of a VAE: name one with --model.vae (make vae first)")
        from racing_vpt.checkpoints.load import read_checkpoint

        load_vae(self.vae, self.frames, read_checkpoint(self.vae_name), self.vae_name)

    def encoder_fingerprint(self) -> str:
        """Fingerprint of the VAE's weights."""
        from racing_vpt.checkpoints.folder import fingerprint

        return fingerprint(self.vae.state_dict())

    @torch.no_grad()
    def code_frames(self, frames: Tensor) -> Tensor:
        """Means and log-variances, concatenated to float32 [N, 2 * latent], of frames uint8 [N, 64, 64, 3]."""
        code = self.vae.encode(frames.to(self.device))
        return torch.cat([code.mean, code.log_variance], -1).cpu()

    @property
    def beginnings(self) -> Tensor:
        """Codes of first frames float32 [S, 2 * latent], from which dreams start."""
        return self.starts[: int(self.num_starts)]

    def actions(self, batch: Batch) -> Tensor:
        """Controls float32 [B, T, A] that answered the frames; ValueError if the data lacks one."""
        missing = [name for name in self.controls if name not in batch.controls]
        if missing:
            raise ValueError(
                f"the data lacks {', '.join(missing)}; this MDN-RNN needs recordings of the game {self.game.name}"
            )
        return torch.stack([batch.controls[name] for name in self.controls], -1)

    def code(self, batch: Batch) -> Code:
        """The codes of a batch's frames, [B, T, latent] each."""
        if batch.codes is None:
            raise ValueError("an MDN-RNN learns from codes; give batches with codes, as racing_vpt's data modules do")
        mean, log_variance = batch.codes.chunk(2, -1)
        return Code(mean, log_variance)

    @staticmethod
    def known(batch: Batch) -> dict[str, Tensor]:
        """Mask of the steps at which each loss is defined, bool [B, T], or [B, T - 1] if it needs the next frame."""
        rewarded = batch.valid & (batch.rewards is not None)
        follows = batch.valid[:, 1:] & ~batch.first[:, 1:]  # frame t + 1 follows frame t
        return {"nll": follows, "reward_mse": rewarded, "end_ce": batch.valid[:, :-1]}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, `nll` (nats per dimension of a code), `reward_mse` and `end_ce`, means over the masks of `known`."""
        known = self.known(batch)
        share = dict(zip(known, shares(self, torch.stack([x.sum() for x in known.values()])), strict=True))
        z, actions = self.code(batch).sample(), self.actions(batch)
        remembered, _ = self.net(z, actions, self.net.initial_state(len(z), z.device))
        nll = -self.net.predict(remembered[:, :-1]).log_likelihood(z[:, 1:]).mean(-1)  # (B, T - 1)
        found = {"nll": masked_mean(nll, known["nll"])}
        loss = share["nll"] * found["nll"]
        if self.net.outcome is not None:
            reward, end = self.net.outcomes(remembered)
            truth = reward.detach() if batch.rewards is None else batch.rewards.clamp(min=LEAST_REWARD)
            found["reward_mse"] = masked_mean((reward - truth).square(), known["reward_mse"])
            loss = loss + REWARD_WEIGHT * share["reward_mse"] * found["reward_mse"]
            last = (
                batch.valid[:, :-1] & ~batch.valid[:, 1:]
            ).float()  # what follows the last frame of a clip is unknown
            ends = F.binary_cross_entropy_with_logits(end[:, :-1], last, reduction="none")
            found["end_ce"] = masked_mean(ends, known["end_ce"])
            loss = loss + share["end_ce"] * found["end_ce"]
        return {"loss": loss, **{name: x.detach() for name, x in found.items()}}

    def share(self, batch: Batch, stage: str) -> Tensor:
        """Loss of a batch; logs all of `losses`."""
        losses, whole = self.losses(batch), stage != "train"
        for name, x in losses.items():
            size = logged_size(self, self.known(batch).get(name, batch.valid).sum()) if whole else None
            self.log(f"{stage}/{name}", x, batch_size=size, on_epoch=whole, sync_dist=whole, prog_bar=not whole)
        return losses["loss"]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.keep_starts(batch)
        return self.share(batch, "train")

    def on_validation_epoch_start(self) -> None:
        self.ahead.clear()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.share(batch, "val")
        self.look(batch)

    def on_validation_epoch_end(self) -> None:
        self.log_dict({f"val/{name}": x for name, x in self.ahead.figures(self._trainer).items()}, sync_dist=True)

    def keep_starts(self, batch: Batch) -> None:
        """Store codes of episodes' first frames; the latest `STARTS` are kept."""
        assert batch.codes is not None, "only called after the batch's codes were used"
        for code in batch.codes[batch.first & batch.valid]:
            self.starts[int(self.num_starts) % STARTS] = code
            self.num_starts += 1

    @torch.no_grad()
    def look(self, batch: Batch) -> None:
        """Look ahead on the clips of a batch; the truth is what the VAE makes of the true frames."""
        rows = long_enough(batch, self.frames.stride)[:ROWS]
        if not rows or self.net.outcome is None:  # without an outcome nothing is imagined
            return
        codes = self.code(batch).mean[rows]  # (R, T, latent)
        world = MemoryWorld(self.vae, self.net, self.controls)
        tail = codes[:, -1 - steps_ahead(codes.shape[1]) :]
        truth = rearrange(world.show(rearrange(tail, "r t d -> (r t) d")), "(r t) c h w -> r t c h w", r=len(rows))
        self.ahead.add(world, codes, self.actions(batch)[rows], truth)

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Frame]:
        """`next_frames` uint8 [H, W, 3]: true frames, their reconstructions, and one-step predictions at tau 0, 0.5
        and 1, from top to bottom.
        """
        row = int(batch.valid.sum(1).argmax())
        length = int(batch.valid[row].sum())
        z, actions = self.code(batch).mean[row : row + 1, :length], self.actions(batch)[row : row + 1, :length]
        places = torch.linspace(1, length - 1, SHOWN).round().long() if length > 1 else torch.zeros(SHOWN).long()
        remembered, _ = self.net(z, actions, self.net.initial_state(1, z.device))
        expected = self.net.predict(remembered[0, (places - 1).clamp(min=0).to(z.device)])
        rows = [self.vae.pictures(z[0, places.to(z.device)])]
        rows += [self.vae.pictures(expected.draw(tau)) for tau in TAUS]
        shown = [each.cpu().numpy() for each in rows]
        frames_of = getattr(getattr(self.trainer, "datamodule", None), "frames_of", None)
        if frames_of is not None:
            shown.insert(0, frames_of(batch, row)[places.numpy()])
        return {"next_frames": film_strip(np.concatenate(shown), columns=SHOWN, scale=2)}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer(self.net.parameters())
