"""Taking over a tokenizer, or a world model with its own, as the later stages of IRIS do."""

from __future__ import annotations

from torch import nn

from racing_vpt.checkpoints.folder import Checkpoint
from racing_vpt.models.encoder import check_frames
from racing_vpt.nn.tokenizer_net import TokenizerNet
from racing_vpt.types import FrameSpec


def take_tokenizer(net: TokenizerNet, frames: FrameSpec, checkpoint: Checkpoint, name: str) -> None:
    """Load the network of a tokenizer's checkpoint.

    Raises:
        ValueError: it holds no tokenizer, one of another vocabulary, size or quantizer, or one that sees other frames.
    """
    from racing_vpt.checkpoints.load import load_strictly

    if not checkpoint.class_path.endswith(".Tokenizer"):
        raise ValueError(
            f"{name} holds a {checkpoint.class_path}, but a Tokenizer is needed; train one with: make iris-tokenizer"
        )
    held = checkpoint.init_args.get("vocabulary", 512)
    if held != net.vocabulary:
        raise ValueError(f"{name} has {held} tokens, but {net.vocabulary} are asked for: --model.vocabulary {held}")
    check_frames(checkpoint, frames, name, "world model")
    weights = {key.removeprefix("net."): x for key, x in checkpoint.state_dict.items() if key.startswith("net.")}
    try:
        load_strictly(net, weights, name)
    except ValueError as error:
        given = {key: checkpoint.init_args.get(key) for key in ("size", "quantizer", "levels")}
        raise ValueError(
            f"{name} is another tokenizer than the world model's: it has {given}; give the same with "
            f"--model.tokenizer_size, --model.quantizer and --model.levels ({error})"
        ) from error


def take_world(world: nn.Module, frames: FrameSpec, checkpoint: Checkpoint, name: str) -> None:
    """Load a world model's checkpoint, or that of an IRIS, into a `TokenWorld`, its tokenizer and its beginnings too.

    Raises:
        ValueError: it holds no world model over tokens, one that is built otherwise, or one that sees other frames.
    """
    from racing_vpt.checkpoints.load import load_strictly

    weights = checkpoint.state_dict
    if checkpoint.class_path.endswith(".IRIS"):
        weights = {key.removeprefix("world."): x for key, x in weights.items() if key.startswith("world.")}
    elif not checkpoint.class_path.endswith(".TokenWorld"):
        raise ValueError(
            f"{name} holds a {checkpoint.class_path}, but a TokenWorld or an IRIS is needed; train one with: make "
            "iris-world"
        )
    check_frames(checkpoint, frames, name, "loop")
    try:
        load_strictly(world, weights, name)
    except ValueError as error:
        told = ("size", "tokenizer_size", "architecture", "positions", "scheme", "actions", "reward", "vocabulary")
        given = {key: checkpoint.init_args[key] for key in told if key in checkpoint.init_args}
        raise ValueError(
            f"{name} is another world model than this one: it has {given}; give the same ({error})"
        ) from error
