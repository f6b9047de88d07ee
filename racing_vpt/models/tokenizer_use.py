"""Taking over a tokenizer, as the later stages of IRIS do."""

from __future__ import annotations

from racing_vpt.checkpoints.folder import Checkpoint
from racing_vpt.models.encoder import check_frames
from racing_vpt.nn.tokenizer_net import TokenizerNet
from racing_vpt.types import FrameSpec


def take_tokenizer(net: TokenizerNet, frames: FrameSpec, checkpoint: Checkpoint, name: str) -> None:
    """Load the network of a tokenizer's checkpoint.

    Raises:
        ValueError: it holds no tokenizer, one of another vocabulary, size or quantizer, or one that sees other frames.
    """
    from racing_vpt.checkpoints import load_strictly

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
