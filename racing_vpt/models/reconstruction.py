"""Reconstruction losses of a tokenizer.

IRIS, Micheli et al. 2022 (arXiv:2209.00588), appendix A.1: absolute error, perceptual error and commitment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from racing_vpt.models.perceptual import perceptual_loss
from racing_vpt.nn.picture_losses import PerceptualLoss, log_error
from racing_vpt.nn.tokenizer_net import TokenizerNet


@dataclass(frozen=True)
class ReconstructionConfig:
    """Reconstruction losses of a tokenizer.

    Args:
        pixel_loss: `l1`, as in the paper, or `l2`.
        perceptual: checkpoint whose features the perceptual loss compares: a policy, a VAE or a tokenizer (path, run
            folder or zoo:NAME). None: no perceptual loss.
        perceptual_weight: weight of the perceptual loss, which is 2 to 15 times as large as l1.
        commitment_weight: weight of the distance between features and their codes.
    """

    pixel_loss: Literal["l1", "l2"] = "l1"
    perceptual: str | None = "zoo:vpt-carracing"
    perceptual_weight: float = 0.1
    commitment_weight: float = 0.25

    def __post_init__(self) -> None:
        if min(self.perceptual_weight, self.commitment_weight) < 0:
            raise ValueError(
                "weights of losses are 0 or more, but perceptual_weight and commitment_weight are "
                f"{self.perceptual_weight} and {self.commitment_weight}"
            )


class Reconstruction:
    """Computes the losses; no module, so that the perceptual network is not saved with the tokenizer.

    Args:
        config: which losses, and their weights.
    """

    def __init__(self, config: ReconstructionConfig) -> None:
        self.config = config
        self.perceptual: PerceptualLoss | None = None

    def load(self) -> None:
        """Load the perceptual network; FileNotFoundError or ValueError if its checkpoint is absent or unsuitable."""
        if self.config.perceptual is not None and self.config.perceptual_weight:
            self.perceptual = perceptual_loss(self.config.perceptual)

    def losses(self, net: TokenizerNet, pictures: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Losses of a batch of pictures float [N, 3, H, W] in [0, 1].

        Returns:
            `loss` and its parts by name; the reconstructed pictures; the tokens.
        """
        config, quantized = self.config, net.encode(pictures)
        made = net.decode(quantized.codes).float()
        error = F.l1_loss(made, pictures) if config.pixel_loss == "l1" else F.mse_loss(made, pictures)
        found = {config.pixel_loss: error, "commitment": quantized.commitment}
        loss = error + config.commitment_weight * quantized.commitment
        if self.perceptual is not None:
            found["perceptual"] = self.perceptual.to(made.device)(made, pictures)
            loss = loss + config.perceptual_weight * found["perceptual"]
        found["psnr"] = -10 * log_error(made.detach().clamp(0, 1), pictures).mean()  # mean PSNR in dB
        return {"loss": loss, **{key: x.detach() for key, x in found.items()}}, made, quantized.tokens
