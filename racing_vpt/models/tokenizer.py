"""The tokenizer of IRIS: 16 tokens of 512 a frame.

Micheli et al. 2022 (arXiv:2209.00588), section 2.1 and appendix A.1. Unlike the paper, the codebook is updated by
moving averages (`nn/quantizer.py`) and perceptual features are those of a policy of ours (the paper downloads a VGG);
squared error and a discriminator (VQGAN, arXiv:2012.09841) are options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from racing_vpt.frames import film_strip
from racing_vpt.games.read import as_game
from racing_vpt.models.freezing import frozen_names
from racing_vpt.models.module import Schedule, with_schedule
from racing_vpt.models.processes import shares
from racing_vpt.models.reconstruction import Reconstruction, ReconstructionConfig
from racing_vpt.nn.picture_losses import PatchDiscriminator, discriminator_loss, generator_loss
from racing_vpt.nn.quantizer import perplexity, usage
from racing_vpt.nn.tokenizer_net import TokenizerConfig, TokenizerNet, frames_of, pictures_of
from racing_vpt.types import Batch, Frame, FrameChanges, frame_spec

SHOWN = 12  # frames in a picture
CLIP = 10.0  # largest gradient norm of autoencoder and discriminator, where there is one


@dataclass(frozen=True)
class AdversarialConfig:
    """A discriminator as an additional loss. Lightning cannot clip gradients with it (`gradient_clip_val: null`).

    Args:
        weight: weight of the adversarial loss; 0: no discriminator.
        start_step: step from which the adversarial loss counts.
    """

    weight: float = 0.0
    start_step: int = 1000

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"adversarial.weight must be 0 or more, but {self.weight} was given")


class Tokenizer(LightningModule):
    """A discrete autoencoder of single frames; each frame of a clip is processed on its own.

    Args:
        game: name or file of the game, or all that its file says.
        frames: how the frames that the model sees differ from the game's for world models.
        tokenizer: size, quantizer and vocabulary of the network.
        reconstruction: losses on the reconstructed pictures.
        adversarial: a discriminator as an additional loss.
        freeze: parts that are not trained, as prefixes of weight names, such as net.encoder and net.before: the tokens
            then stay the same too, if the codebook does (`freeze_codebook`).
        freeze_codebook: leave the codebook unchanged.
        init_from: checkpoint of a tokenizer to take initial weights from (path, run folder or zoo:NAME).
        schedule: shape of the learning rate after the warm-up.
        warmup_steps: steps over which the learning rate rises from 0.
        optimizer: built from the trainable parameters.
    """

    GAME_FRAMES = "world_frames"
    used: Tensor

    def __init__(
        self,
        game: str | dict = "carracing",
        frames: FrameChanges = FrameChanges(),  # noqa: B008 - frozen
        tokenizer: TokenizerConfig = TokenizerConfig(),  # noqa: B008 - frozen
        reconstruction: ReconstructionConfig = ReconstructionConfig(),  # noqa: B008 - frozen
        adversarial: AdversarialConfig = AdversarialConfig(),
        freeze: tuple[str, ...] = (),
        freeze_codebook: bool = False,
        init_from: str | None = None,
        schedule: Schedule = "constant",
        warmup_steps: int = 0,
        optimizer: OptimizerCallable = lambda weights: torch.optim.Adam(weights, lr=1e-4),
    ) -> None:
        super().__init__()
        self.game = as_game(game)
        self.frames = frame_spec(frames, self.game.world_frames)
        self.net = TokenizerNet(tokenizer)
        self.net.grid(self.frames.height, self.frames.width)  # refuses frames that tokens do not divide
        self.reconstruction = Reconstruction(reconstruction)
        self.adversarial = adversarial
        self.discriminator = PatchDiscriminator() if adversarial.weight else None
        self.frozen = tuple(freeze)
        self.freeze_codebook = freeze_codebook
        self.init_from = init_from
        self.schedule = schedule
        self.warmup_steps = warmup_steps
        self.optimizer = optimizer
        self.automatic_optimization = not adversarial.weight
        self.register_buffer("used", torch.zeros(tokenizer.vocabulary), persistent=False)

    def setup(self, stage: str) -> None:
        self.reconstruction.load()
        if stage != "fit":
            return
        if self.init_from is not None and self.trainer.ckpt_path is None:
            from racing_vpt.checkpoints.load import read_checkpoint

            self.take_weights(read_checkpoint(self.init_from).state_dict, self.init_from)
        for name in frozen_names(self, self.frozen, ()) if self.frozen else ():
            self.get_parameter(name).requires_grad_(False)

    def take_weights(self, state: dict[str, Tensor], name: str) -> None:
        """Load the network of another tokenizer; ValueError if it is another network."""
        from racing_vpt.checkpoints.load import load_strictly

        load_strictly(
            self.net, {key.removeprefix("net."): x for key, x in state.items() if key.startswith("net.")}, name
        )

    def losses(self, pictures: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """As `Reconstruction.losses`, without the discriminator's."""
        self.net.quantizer.train(self.training and not self.freeze_codebook)
        return self.reconstruction.losses(self.net, pictures)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        pictures = self.pictures_in(batch)
        losses, made, tokens = self.losses(pictures)
        losses["loss"] = losses["loss"] * shares(self, batch.valid.sum())
        with torch.no_grad():
            counts = usage(tokens, self.net.vocabulary)
            losses["codebook_perplexity"] = perplexity(counts)
        if self.discriminator is None:
            self.log_all(losses, "train", len(pictures))
            return losses["loss"]
        self.compete(losses, made, pictures)
        self.log_all(losses, "train", len(pictures))
        return None

    def compete(self, losses: dict[str, Tensor], made: Tensor, pictures: Tensor) -> None:
        """One step of the autoencoder and one of the discriminator; adds both adversarial losses to `losses`."""
        assert self.discriminator is not None, "only called where there is a discriminator"
        ours = cast(list[torch.optim.Optimizer], self.optimizers())[0]
        judge = self.trainer.optimizers[1]  # the optimizer itself: Lightning's wrapper would count each batch twice
        adversarial = generator_loss(self.discriminator, made)
        weight = self.adversarial.weight * (self.trainer.global_step >= self.adversarial.start_step)
        ours.zero_grad()
        self.manual_backward(losses["loss"] + weight * adversarial)
        self.clip_gradients(ours, CLIP, "norm")
        ours.step()
        cast(LambdaLR, self.lr_schedulers()).step()
        own = discriminator_loss(self.discriminator, pictures, made)
        judge.zero_grad()
        self.manual_backward(own)
        self.clip_gradients(judge, CLIP, "norm")
        judge.step()
        losses |= {"adversarial": adversarial.detach(), "discriminator": own.detach()}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        pictures = self.pictures_in(batch)
        losses, _, tokens = self.losses(pictures)
        self.used += usage(tokens, self.net.vocabulary)
        self.log_all(losses, "val", len(pictures))

    def on_validation_epoch_start(self) -> None:
        self.used.zero_()

    def on_validation_epoch_end(self) -> None:
        used = cast(Tensor, self.trainer.strategy.reduce(self.used, reduce_op="sum"))
        self.log("val/codebook_use", (used > 0).float().mean(), sync_dist=True)
        self.log("val/codebook_perplexity", perplexity(used), sync_dist=True)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        pictures = self.pictures_in(batch)
        self.log_all(self.losses(pictures)[0], "test", len(pictures))

    def pictures_in(self, batch: Batch) -> Tensor:
        """The valid frames of a batch as float [N, 3, H, W]; one black picture for a batch of padding alone."""
        frames = batch.frames[batch.valid]
        return pictures_of(frames if len(frames) else batch.frames[:1, 0])

    def log_all(self, losses: dict[str, Tensor], stage: str, count: int) -> None:
        """Log the losses of a batch of `count` frames."""
        whole = stage != "train"
        named = {f"{stage}/{name}": x.detach() for name, x in losses.items()}
        self.log_dict(named, batch_size=count, on_epoch=whole, sync_dist=whole, prog_bar=not whole)

    def pictures(self, batch: Batch) -> dict[str, Frame]:
        """`reconstructions` uint8 [H, W, 3]; see `reconstructions`."""
        return {"reconstructions": reconstructions(self.net, batch)}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        ours = self.optimizer([x for x in self.net.parameters() if x.requires_grad])
        scheduled = with_schedule(self, ours, self.schedule, self.warmup_steps)
        if self.discriminator is None:
            return scheduled
        return cast(OptimizerLRScheduler, (scheduled, {"optimizer": self.optimizer(self.discriminator.parameters())}))


@torch.no_grad()
def reconstructions(net: TokenizerNet, batch: Batch) -> Frame:
    """A picture uint8 [H, W, 3]: the first valid frames of a batch above, their reconstructions below."""
    frames = batch.frames[batch.valid][:SHOWN]
    columns = net.grid(*frames.shape[1:3])[1]
    again = frames_of(net.pictures(net.tokens(frames), columns))
    both = np.concatenate([frames.cpu().numpy(), again.cpu().numpy()])
    return film_strip(both, columns=len(frames), scale=2)
