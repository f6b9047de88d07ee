"""The tokenizer of IRIS: 16 tokens of 512 a frame.

Micheli et al. 2022 (arXiv:2209.00588), section 2.1 and appendix A.1: absolute error, perceptual error and commitment.
Unlike the paper, the codebook follows by moving averages (`nn/quantizer.py`); perceptual features are those of a policy
of ours (the paper's are a downloaded VGG's); squared error and a discriminator (VQGAN, arXiv:2012.09841) are choices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, cast

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from racing_vpt.frames import film_strip
from racing_vpt.models.encoder import WORLD_FRAMES
from racing_vpt.models.finetune import frozen_names
from racing_vpt.models.module import Schedule, with_schedule
from racing_vpt.models.perceptual import perceptual_loss
from racing_vpt.models.processes import shares
from racing_vpt.nn.picture_losses import PatchDiscriminator, PerceptualLoss, deceiving_loss, judged_loss
from racing_vpt.nn.quantizer import perplexity, usage
from racing_vpt.nn.sizes import named_size
from racing_vpt.nn.tokenizer_net import (
    TOKENIZER_SIZES,
    QuantizerKind,
    TokenizerNet,
    TokenizerSize,
    frames_of,
    pictures_of,
)
from racing_vpt.types import Batch, Frame, FrameSpec, frame_spec

SHOWN = 12  # frames in a picture


def adam(parameters: Iterable) -> torch.optim.Optimizer:
    """The paper's optimizer."""
    return torch.optim.Adam(parameters, lr=1e-4)


class Tokenizer(LightningModule):
    """A discrete autoencoder of single frames; it looks at every frame of its clips by itself.

    Args:
        frames: what the model wants to see.
        size: `paper`, `tiny`, or all settings of the network.
        quantizer: `vq`, a codebook that follows by moving averages, or `fsq`, numbers that are rounded.
        vocabulary: tokens that there are.
        levels: of `fsq`; their product is the vocabulary.
        pixel_loss: `l1`, as the paper, or `l2`.
        perceptual: checkpoint whose features the perceptual loss compares: a policy, a VAE or a tokenizer (path, run
            folder or zoo:NAME). None: no such loss.
        perceptual_weight: of the perceptual loss, whose numbers are 2 to 15 times those of l1.
        commitment_weight: of the distance between features and their codes.
        adversarial_weight: of the discriminator's opinion; 0: there is no discriminator.
        adversarial_from: step from which the discriminator has a say.
        adversarial_clip: gradient norm of autoencoder and discriminator where there is one. Lightning cannot clip then:
            set trainer.gradient_clip_val to null.
        init_from: checkpoint of a tokenizer whose weights training starts from (path, run folder or zoo:NAME).
        freeze: parts that stay as they are, by name, such as net.encoder and net.before: tokens then stay the same too
            as long as the codebook does (`freeze_codebook`).
        freeze_codebook: whether the codebook does not follow the features.
        schedule: how the learning rate falls after the warm-up.
        warmup_steps: steps over which it rises from 0.
        optimizer: made from the trainable parameters.
    """

    used: Tensor

    def __init__(
        self,
        frames: FrameSpec = WORLD_FRAMES,
        size: Literal["paper", "tiny"] | TokenizerSize | dict = "paper",
        quantizer: QuantizerKind = "vq",
        vocabulary: int = 512,
        levels: Sequence[int] = (8, 8, 8),
        pixel_loss: Literal["l1", "l2"] = "l1",
        perceptual: str | None = "zoo:vpt-carracing",
        perceptual_weight: float = 0.1,
        commitment_weight: float = 0.25,
        adversarial_weight: float = 0.0,
        adversarial_from: int = 1000,
        adversarial_clip: float = 10.0,
        init_from: str | None = None,
        freeze: Sequence[str] = (),
        freeze_codebook: bool = False,
        schedule: Schedule = "constant",
        warmup_steps: int = 0,
        optimizer: OptimizerCallable = adam,
    ) -> None:
        super().__init__()
        if min(perceptual_weight, commitment_weight, adversarial_weight) < 0:
            raise ValueError(
                "weights of losses are 0 or more, but perceptual_weight, commitment_weight and adversarial_weight are "
                f"{perceptual_weight}, {commitment_weight} and {adversarial_weight}"
            )
        self.frames = frame_spec(frames)
        self.net = TokenizerNet(named_size(size, TOKENIZER_SIZES, "tokenizer"), quantizer, vocabulary, tuple(levels))
        self.net.grid(self.frames.height, self.frames.width)
        self.pixel_loss, self.perceptual_name = pixel_loss, perceptual if perceptual_weight else None
        self.perceptual_weight, self.commitment_weight = perceptual_weight, commitment_weight
        self.adversarial_weight, self.adversarial_from = adversarial_weight, adversarial_from
        self.adversarial_clip = adversarial_clip
        self.discriminator = PatchDiscriminator() if adversarial_weight else None
        self.init_from, self.frozen, self.freeze_codebook = init_from, tuple(freeze), freeze_codebook
        self.schedule, self.warmup_steps, self.optimizer = schedule, warmup_steps, optimizer
        self.automatic_optimization = not adversarial_weight
        self._perceptual: list[PerceptualLoss] = []  # in a list, so that its weights are not the tokenizer's
        self.register_buffer("used", torch.zeros(vocabulary), persistent=False)

    def setup(self, stage: str) -> None:
        if self.perceptual_name is not None:
            self._perceptual = [perceptual_loss(self.perceptual_name)]
        if stage != "fit":
            return
        if self.init_from is not None and self.trainer.ckpt_path is None:
            from racing_vpt.checkpoints.load import read_checkpoint

            self.take_weights(read_checkpoint(self.init_from).state_dict, self.init_from)
        for name in frozen_names(self, self.frozen, ()) if self.frozen else ():
            self.get_parameter(name).requires_grad_(False)

    def take_weights(self, state: dict[str, Tensor], name: str) -> None:
        """Load the network of another tokenizer; ValueError where it is another network."""
        from racing_vpt.checkpoints.load import load_strictly

        load_strictly(
            self.net, {key.removeprefix("net."): x for key, x in state.items() if key.startswith("net.")}, name
        )

    def losses(self, pictures: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """What a batch of pictures float [N, 3, H, W] in [0, 1] costs.

        Returns:
            `loss` and its parts by name, without the discriminator's; the pictures made of their tokens; the tokens.
        """
        self.net.quantizer.train(self.training and not self.freeze_codebook)
        quantized = self.net.encode(pictures)
        made = self.net.decode(quantized.codes).float()
        error = F.l1_loss(made, pictures) if self.pixel_loss == "l1" else F.mse_loss(made, pictures)
        found = {self.pixel_loss: error, "commitment": quantized.commitment}
        loss = error + self.commitment_weight * quantized.commitment
        for perceptual in self._perceptual:
            found["perceptual"] = perceptual.to(made.device)(made, pictures)
            loss = loss + self.perceptual_weight * found["perceptual"]
        squared = (made.detach().clamp(0, 1) - pictures).square().flatten(1).mean(1)
        found["psnr"] = -10 * squared.clamp(min=1e-10).log10().mean()
        return {"loss": loss, **{key: x.detach() for key, x in found.items()}}, made, quantized.tokens

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
        """One step of the autoencoder, and one of the discriminator; adds both of its losses to `losses`."""
        assert self.discriminator is not None
        ours = cast(list[torch.optim.Optimizer], self.optimizers())[0]
        judge = self.trainer.optimizers[1]  # itself, not Lightning's cover, which would count each batch twice
        deceiving = deceiving_loss(self.discriminator, made)
        say = self.adversarial_weight * (self.trainer.global_step >= self.adversarial_from)
        ours.zero_grad()
        self.manual_backward(losses["loss"] + say * deceiving)
        self.clip_gradients(ours, self.adversarial_clip, "norm")
        ours.step()
        cast(LambdaLR, self.lr_schedulers()).step()
        judged = judged_loss(self.discriminator, pictures, made)
        judge.zero_grad()
        self.manual_backward(judged)
        self.clip_gradients(judge, self.adversarial_clip, "norm")
        judge.step()
        losses |= {"deceiving": deceiving.detach(), "judged": judged.detach()}

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
        """The valid frames of a batch as float [N, 3, H, W]; of a batch of padding alone, one black one."""
        frames = batch.frames[batch.valid]
        return pictures_of(frames if len(frames) else batch.frames[:1, 0])

    def log_all(self, losses: dict[str, Tensor], stage: str, count: int) -> None:
        """Log what a batch of `count` frames cost."""
        whole = stage != "train"
        named = {f"{stage}/{name}": x.detach() for name, x in losses.items()}
        self.log_dict(named, batch_size=count, on_epoch=whole, sync_dist=whole, prog_bar=not whole)

    @torch.no_grad()
    def pictures(self, batch: Batch) -> dict[str, Frame]:
        """`reconstructions` uint8 [H, W, 3]: frames above, what became of them below."""
        frames = batch.frames[batch.valid][:SHOWN]
        columns = self.net.grid(self.frames.height, self.frames.width)[1]
        again = frames_of(self.net.pictures(self.net.tokens(frames), columns))
        both = np.concatenate([frames.cpu().numpy(), again.cpu().numpy()])
        return {"reconstructions": film_strip(both, columns=len(frames), scale=2)}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        ours = self.optimizer([x for x in self.net.parameters() if x.requires_grad])
        scheduled = with_schedule(self, ours, self.schedule, self.warmup_steps)
        if self.discriminator is None:
            return scheduled
        return cast(OptimizerLRScheduler, (scheduled, {"optimizer": self.optimizer(self.discriminator.parameters())}))
