"""OpenAI VPT's public checkpoints, run as they are.

    from racing_vpt.models.openai_vpt import load_vpt
    net = load_vpt("foundation-model-1x.model", "foundation-model-1x.weights")
    log_probs, value, state = net(frames, first, None)

VPT, Baker et al. 2022 (arXiv:2206.11795).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from racing_vpt.checkpoints.load import load_strictly
from racing_vpt.checkpoints.openai import OpenAISettings, openai_settings, read_openai_model, read_openai_weights
from racing_vpt.nn.heads import log_probabilities
from racing_vpt.nn.policy import Classes, VPTIdm, VPTPolicy
from racing_vpt.nn.sizes import NetSize
from racing_vpt.nn.transformer import NetState

POLICY_CLASSES: Classes = {"camera": 121, "buttons": 8641}
REFERENCE_THREADS = 2  # that shared/vpt_parity was computed with
IDM_CLASSES: Classes = {"camera": (2, 11), "buttons": (20, 2)}


class LoadedVPT(nn.Module):
    """A public policy or inverse dynamics model.

    Args:
        model: the network.
        threads: it runs with on a CPU; None leaves torch's number. GroupNorm adds up a frame's pixels in as many parts
            as there are threads, which moves a value by up to 3e-4: with another number than the references were
            computed with, outputs are the original's only to that.
    """

    def __init__(self, model: VPTPolicy | VPTIdm, threads: int | None = REFERENCE_THREADS) -> None:
        super().__init__()
        self.model = model
        self.threads = threads

    def forward(
        self, frames: Tensor, first: Tensor, state: NetState | None = None
    ) -> tuple[dict[str, Tensor], Tensor | None, NetState | None]:
        """What the original gives, with an episode's start honoured at any frame.

        Args:
            frames: uint8 (B, T, H, W, 3), RGB, at the net's size (128x128).
            first: bool (B, T), True where an episode starts. An inverse dynamics model takes one window of one episode.
            state: what the last call returned, None at the start.

        Returns:
            Log-probabilities, float32: of a policy `buttons` (B, T, 8641) and `camera` (B, T, 121), of an inverse
            dynamics model (B, T, 20, 2) and (B, T, 2, 11); the value (B, T, 1) in the unit of the rewards, or None;
            and the state, None where the net has no memory.
        """
        with on_threads(self.threads if frames.device.type == "cpu" else None):
            if isinstance(self.model, VPTIdm):
                return log_probabilities(self.model(frames)), None, None
            logits, value, state = self.model(frames, first, state)
        return log_probabilities(logits), self.model.value_head.denormalise(value), state


@contextmanager
def on_threads(number: int | None) -> Iterator[None]:
    """Within it torch computes with that many threads; None changes nothing."""
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
    """Read OpenAI's pair of files, executing nothing; in evaluation mode, on the CPU.

    Args:
        model: the `.model` file.
        weights: the `.weights` file.
        threads: see `LoadedVPT`.

    Raises:
        FileNotFoundError: one of the files does not exist.
        ValueError: damaged, refused, not a VPT net that can be run here, or files that do not belong together.
    """
    settings = openai_settings(read_openai_model(Path(model)), Path(model))
    state_dict = read_openai_weights(Path(weights))
    with torch.device("meta"):  # the largest net has 2 GB, once
        net = build_vpt(settings)
    load_strictly(net, state_dict, f"{weights} with {model}", allow_extra=True, assign=True)
    return LoadedVPT(net.float(), threads).eval()


def build_vpt(settings: OpenAISettings) -> VPTPolicy | VPTIdm:
    """The network that a `.model` file describes, with random weights."""
    size = NetSize(**settings["size"])  # type: ignore[arg-type]
    height, width, temperature = settings["height"], settings["width"], settings["temperature"]
    if settings["kind"] == "idm":
        return VPTIdm(size, IDM_CLASSES, height, width, temperature)
    return VPTPolicy(size, POLICY_CLASSES, height, width, temperature)
