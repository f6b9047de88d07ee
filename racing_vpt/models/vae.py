"""The VAE of World Models: a frame as 32 numbers.

Ha & Schmidhuber 2018 (arXiv:1803.10122), appendix A.1: summed squared error, and a Kullback-Leibler divergence with a
floor of half a nat a dimension. Frames are their top 84 rows of 96, resized to 64x64. Unlike the original, frames are
resized by area, and log-variances are clamped to +-10.
"""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor

from racing_vpt.frames import film_strip
from racing_vpt.games.read import as_game
from racing_vpt.models.processes import logged_size, shares
from racing_vpt.nn.picture_losses import psnr
from racing_vpt.nn.vae_net import PIXELS, VAENet
from racing_vpt.types import Batch, Frame, FrameChanges, frame_spec

SHOWN = 12  # frames in a picture


class VAE(LightningModule):
    """A variational autoencoder of single frames; each frame of a clip is processed on its own.

    Args:
        game: name or file of the game, or all that its file says.
        frames: how the frames that the model sees differ from the game's for world models; 64x64.
        latent: dimensions of the code of a frame.
        kl_floor: divergence in nats per dimension that costs nothing.
        optimizer: built from all parameters.
    """

    GAME_FRAMES = "world_frames"

    def __init__(
        self,
        game: str | dict = "carracing",
        frames: FrameChanges = FrameChanges(),  # noqa: B008 - frozen
        latent: int = 32,
        kl_floor: float = 0.5,
        optimizer: OptimizerCallable = lambda weights: torch.optim.Adam(weights, lr=1e-4),
    ) -> None:
        super().__init__()
        self.game = as_game(game)
        self.frames = frame_spec(frames, self.game.world_frames)
        if (self.frames.height, self.frames.width) != (PIXELS, PIXELS):
            raise ValueError(
                f"the VAE sees {PIXELS}x{PIXELS} pixels, but frames of {self.frames.height}x{self.frames.width} were "
                f"asked for: give --model.frames.height {PIXELS} --model.frames.width {PIXELS}"
            )
        if kl_floor < 0:
            raise ValueError(f"kl_floor must be 0 or more, but {kl_floor} was given")
        self.kl_floor = kl_floor
        self.optimizer = optimizer
        self.net = VAENet(latent)

    def losses(self, frames: Tensor) -> dict[str, Tensor]:
        """Means over frames uint8 [N, 64, 64, 3]: `loss`, `squared_error` (summed over a frame), `kl` and `psnr`."""
        code = self.net.encode(frames)
        truth = rearrange(frames, "n h w c -> n c h w").float() / 255
        made = self.net.decode(code.sample())
        squared = (made - truth).square().flatten(1).sum(1)  # (N,)
        divergence = code.divergence()
        loss = (squared + divergence.clamp(min=self.kl_floor * self.net.latent)).mean()
        named = {"squared_error": squared, "kl": divergence, "psnr": psnr(made.detach(), truth)}
        return {"loss": loss, **{name: x.detach().mean() for name, x in named.items()}}

    def share(self, batch: Batch, stage: str) -> Tensor:
        """Loss of the valid frames of a batch; logs all of `losses`."""
        frames, count = batch.frames[batch.valid], batch.valid.sum()  # (N, H, W, 3)
        if not len(frames):  # a batch of padding alone needs a loss and log entries too
            frames = batch.frames[:1, 0]
        losses, whole = self.losses(frames), stage != "train"
        self.log_dict(
            {f"{stage}/{name}": x for name, x in losses.items()},
            batch_size=logged_size(self, count) if whole else len(frames),
            on_epoch=whole, sync_dist=whole, prog_bar=not whole,
        )  # fmt: skip
        return losses["loss"] * shares(self, count) * (count > 0)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.share(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.share(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.share(batch, "test")

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Frame]:
        """`reconstructions` (below the frames) and `samples` of the prior, uint8 [H, W, 3]."""
        frames = batch.frames[batch.valid][:SHOWN]
        again = self.net.pictures(self.net.encode(frames).mean)
        fixed = torch.Generator().manual_seed(0)  # the same draws at each validation
        drawn = self.net.pictures(torch.randn(2 * SHOWN, self.net.latent, generator=fixed).to(frames.device))
        both = np.concatenate([frames.cpu().numpy(), again.cpu().numpy()])
        return {
            "reconstructions": film_strip(both, columns=len(frames), scale=2),
            "samples": film_strip(drawn.cpu().numpy(), columns=SHOWN, scale=2),
        }

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer(self.parameters())
