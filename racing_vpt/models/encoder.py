"""What the models of World Models share: the frames they see, and their encoder."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from racing_vpt.checkpoints.folder import Checkpoint
from racing_vpt.nn.vae_net import PIXELS, VAENet
from racing_vpt.nn.world import WorldNet
from racing_vpt.types import FrameSpec

STARTS = 64  # codes of first frames that are kept, for dreams to start from
WORLD_FRAMES = FrameSpec(height=PIXELS, width=PIXELS, crop_bottom=0.125, mask_bottom=0.0)


def check_frames(checkpoint: Checkpoint, frames: FrameSpec, name: str, whose: str) -> None:
    """ValueError where a checkpoint sees other frames than those of the model that is to use it."""
    given = checkpoint.init_args.get("frames")
    seen = FrameSpec(**given) if isinstance(given, dict) else given
    if isinstance(seen, FrameSpec) and seen != frames:
        raise ValueError(f"{name} sees {seen}, but the {whose}'s frames are {frames}; give the same")


def take_encoder(vae: VAENet, frames: FrameSpec, checkpoint: Checkpoint, name: str) -> None:
    """Load the network of a VAE's checkpoint.

    Raises:
        ValueError: it holds no VAE, one of another latent size, or one that sees other frames.
    """
    from racing_vpt.checkpoints.load import load_strictly

    if not checkpoint.class_path.endswith(".VAE"):
        raise ValueError(f"{name} holds a {checkpoint.class_path}, but a VAE is needed; train one with: make vae")
    held = int(cast(int, checkpoint.init_args.get("latent", vae.latent)))
    if held != vae.latent:
        raise ValueError(
            f"{name} codes a frame by {held} numbers, but {vae.latent} are asked for: --model.latent {held}"
        )
    check_frames(checkpoint, frames, name, "memory")
    weights = {key.removeprefix("net."): x for key, x in checkpoint.state_dict.items() if key.startswith("net.")}
    load_strictly(vae, weights, name)


def take_memory(world: WorldNet, frames: FrameSpec, checkpoint: Checkpoint, name: str, trained: bool) -> Tensor:
    """Load the encoder, and where `trained` the memory, of a memory's checkpoint.

    Returns:
        Codes of first frames float32 [S, 2 * latent], for dreams to start from.

    Raises:
        ValueError: it holds no memory, one of other sizes, or one that sees other frames.
    """
    from racing_vpt.checkpoints.load import load_strictly

    if not checkpoint.class_path.endswith(".MDNRNN"):
        raise ValueError(
            f"{name} holds a {checkpoint.class_path}, but an MDNRNN is needed; train one with: make mdnrnn"
        )
    check_frames(checkpoint, frames, name, "controller")
    weights = checkpoint.state_dict
    load_strictly(world.vae, {k.removeprefix("vae."): x for k, x in weights.items() if k.startswith("vae.")}, name)
    if trained and world.memory is not None:
        own = {k.removeprefix("net."): x for k, x in weights.items() if k.startswith("net.")}
        if "outcome.weight" not in own:
            world.memory.outcome = None
        load_strictly(world.memory, own, name)
    return weights["starts"][: min(STARTS, int(weights["num_starts"]))]
