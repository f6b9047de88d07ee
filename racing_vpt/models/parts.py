"""Loading a part out of another model's checkpoint: its VAE, its tokenizer, its memory, its world model."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from racing_vpt.checkpoints.folder import Checkpoint
from racing_vpt.games.read import as_game
from racing_vpt.nn.tokenizer_net import TokenizerNet
from racing_vpt.nn.vae_net import VAENet
from racing_vpt.nn.world import WorldNet
from racing_vpt.types import FrameSpec, frame_spec

STARTS = 64  # first frames (as codes) or beginnings of episodes (as tokens) that are kept for dreams to start from


def load_vae(net: VAENet, frames: FrameSpec, checkpoint: Checkpoint, name: str) -> None:
    """Load the network of a VAE's checkpoint.

    Raises:
        ValueError: it is not a VAE's, or one with another latent size or other frames.
    """
    check_kind(checkpoint, name, ("VAE",), "make vae")
    held = int(cast(int, checkpoint.init_args.get("latent", net.latent)))
    if held != net.latent:
        raise ValueError(
            f"{name} codes a frame as {held} numbers, but {net.latent} are asked for: give --model.latent {held}"
        )
    load_net(net, frames, checkpoint, name)


def load_tokenizer(net: TokenizerNet, frames: FrameSpec, checkpoint: Checkpoint, name: str) -> None:
    """Load the network of a tokenizer's checkpoint.

    Raises:
        ValueError: it is not a tokenizer's, or one of another vocabulary, size, quantizer or other frames.
    """
    check_kind(checkpoint, name, ("Tokenizer",), "make iris-tokenizer")
    given = dict(checkpoint.init_args.get("tokenizer", {}))
    held = given.get("vocabulary", net.vocabulary if not given else 512)
    if held != net.vocabulary:
        raise ValueError(
            f"{name} has {held} tokens, but {net.vocabulary} are asked for: --model.tokenizer.vocabulary {held}"
        )
    try:
        load_net(net, frames, checkpoint, name)
    except FramesError:
        raise
    except ValueError as error:
        raise ValueError(
            f"{name} is another tokenizer than this model's: it has {given}; give the same as --model.tokenizer "
            f"({error})"
        ) from error


def load_memory(world: WorldNet, frames: FrameSpec, checkpoint: Checkpoint, name: str, trained: bool) -> Tensor:
    """Load the VAE, and if `trained` the memory, of an MDN-RNN's checkpoint.

    Returns:
        Codes of first frames float32 [S, 2 * latent], for dreams to start from.

    Raises:
        ValueError: it is not an MDN-RNN's, or one of other sizes or other frames.
    """
    from racing_vpt.checkpoints.load import load_strictly

    check_kind(checkpoint, name, ("MDNRNN",), "make mdnrnn")
    check_frames(checkpoint, frames, name)
    load_strictly(world.vae, weights_of(checkpoint, "vae."), name)
    if trained and world.memory is not None:
        own = weights_of(checkpoint, "net.")
        if "outcome.weight" not in own:
            world.memory.outcome = None
        load_strictly(world.memory, own, name)
    weights = checkpoint.state_dict
    return weights["starts"][: min(STARTS, int(weights["num_starts"]))]


def load_world(world: nn.Module, frames: FrameSpec, checkpoint: Checkpoint, name: str) -> None:
    """Load the world model of a TokenWorld's or an IRIS's checkpoint into a `TokenWorld`, tokenizer included.

    Raises:
        ValueError: it holds no world model over tokens, or one that is built otherwise or sees other frames.
    """
    from racing_vpt.checkpoints.load import load_strictly

    check_kind(checkpoint, name, ("TokenWorld", "IRIS"), "make iris-world")
    is_iris = checkpoint.class_path.endswith(".IRIS")
    weights = weights_of(checkpoint, "world.") if is_iris else checkpoint.state_dict
    check_frames(checkpoint, frames, name)
    try:
        load_strictly(world, weights, name)
    except ValueError as error:
        given = {key: checkpoint.init_args[key] for key in ("world", "tokenizer") if key in checkpoint.init_args}
        raise ValueError(
            f"{name} is another world model than this one: it has {given}; give the same ({error})"
        ) from error


class FramesError(ValueError):
    """A checkpoint that was trained on other frames."""


def check_frames(checkpoint: Checkpoint, frames: FrameSpec, name: str) -> None:
    """Raise FramesError if a checkpoint was trained on other frames than the model that is to use it."""
    game = as_game(checkpoint.init_args.get("game", "carracing"))
    seen = frame_spec(checkpoint.init_args.get("frames") or {}, game.world_frames)
    if seen != frames:
        raise FramesError(f"{name} sees {seen}, but this model's frames are {frames}; give the same")


def check_kind(checkpoint: Checkpoint, name: str, kinds: tuple[str, ...], make: str) -> None:
    """Raise ValueError if a checkpoint is of none of these classes; `make` is the command that trains one."""
    if checkpoint.class_path.rsplit(".", 1)[-1] not in kinds:
        raise ValueError(
            f"{name} holds a {checkpoint.class_path}, but {' or '.join(kinds)} is needed; train one with: {make}"
        )


def weights_of(checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    """Weights whose names begin with a prefix, without it."""
    return {key.removeprefix(prefix): x for key, x in checkpoint.state_dict.items() if key.startswith(prefix)}


def load_net(net: nn.Module, frames: FrameSpec, checkpoint: Checkpoint, name: str) -> None:
    """Load the weights `net.*` of a checkpoint that sees these frames."""
    from racing_vpt.checkpoints.load import load_strictly

    check_frames(checkpoint, frames, name)
    load_strictly(net, weights_of(checkpoint, "net."), name)
