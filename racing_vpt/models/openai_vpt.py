"""OpenAI VPT's public checkpoints with the outputs of the original code.

    from racing_vpt import load_vpt
    net = load_vpt("foundation-model-1x.model", "foundation-model-1x.weights")
    log_probs, value, state = net(frames, first, None)

VPT, Baker et al. 2022 (arXiv:2206.11795).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from racing_vpt.checkpoints.load import build_module
from racing_vpt.checkpoints.openai import read_openai
from racing_vpt.models.idm import IDM
from racing_vpt.models.vpt import VPT
from racing_vpt.nn.heads import log_probabilities
from racing_vpt.nn.transformer import NetState

REFERENCE_THREADS = 2  # that the reference outputs (tests/vpt_parity) were computed with


class LoadedVPT(nn.Module):
    """A public policy or inverse dynamics model.

    Args:
        model: the network.
        threads: threads that it runs with on a CPU; None leaves torch's number. GroupNorm sums a frame's pixels in as
            many parts as there are threads, which changes a value by up to 3e-4: with another number than that of the
            references, outputs equal the original's only to this precision.
    """

    def __init__(self, model: VPT | IDM, threads: int | None = REFERENCE_THREADS) -> None:
        super().__init__()
        self.model = model
        self.threads = threads

    def forward(
        self, frames: Tensor, first: Tensor, state: NetState | None = None
    ) -> tuple[dict[str, Tensor], Tensor | None, NetState | None]:
        """Outputs of the original, except that an episode may start at any frame.

        Args:
            frames: uint8 (B, T, H, W, 3), RGB, at the network's size (128x128).
            first: bool (B, T), True where an episode starts. An inverse dynamics model takes one window of one episode.
            state: state returned by the previous call; None at the start.

        Returns:
            Log-probabilities, float32: of a policy `buttons` (B, T, 8641) and `camera` (B, T, 121), of an inverse
            dynamics model (B, T, 20, 2) and (B, T, 2, 11); the value (B, T, 1) in the unit of the rewards, or None;
            and the state, None if the network has no memory.
        """
        model = self.model
        with on_threads(self.threads if frames.device.type == "cpu" else None):
            features, state = model.net(frames, first, state)
            logits = model.pi_head(features)
            if isinstance(model, IDM):
                tempered = {name: x / model.temperatures[name] for name, x in logits.items()}
                packs = model.scheme.packs.items()
                return (
                    log_probabilities({pack: torch.stack([tempered[n] for n in names], -2) for pack, names in packs}),
                    None,
                    None,
                )
            value = model.value_head(features)
        return log_probabilities(logits), model.value_head.denormalise(value), state


@contextmanager
def on_threads(number: int | None) -> Iterator[None]:
    """Within it torch computes with so many threads; None changes nothing."""
    before = torch.get_num_threads()
    if number is None or number == before:
        yield
        return
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def load_vpt(model: str | Path, weights: str | Path, threads: int | None = REFERENCE_THREADS) -> LoadedVPT:
    """Read OpenAI's pair of files without executing anything; in evaluation mode, on the CPU.

    Args:
        model: the `.model` file.
        weights: the `.weights` file.
        threads: see `LoadedVPT`.

    Raises:
        FileNotFoundError: one of the files does not exist.
        ValueError: damaged, refused, not a VPT network that can be run here, or files that do not belong together.
    """
    checkpoint = read_openai(Path(model), Path(weights))
    return LoadedVPT(cast(VPT | IDM, build_module(checkpoint, f"{weights} with {model}")), threads).eval()
