"""`racing-vpt import-vpt`: OpenAI VPT's pair of files as a checkpoint of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from racing_vpt.nn.sizes import NetSize

CARD = """# {name}

OpenAI VPT's {kind}, {count:,} parameters, imported by `racing-vpt import-vpt` from `{model}` and `{weights}`.

- Size: {size}.
- Paper: Video PreTraining, Baker et al. 2022, arXiv:2206.11795. The public files are listed by name in the README of
  the GitHub repository openai/Video-Pre-Training, under "Model Zoo" and "Inverse Dynamics Model"; MIT licence.
- Sees: {height}x{width} RGB frames of Minecraft at 20 a second, whole picture, aspect ratio not kept.
- Game: `{game}`.
- Verified by this project: the reader and the network, against reference outputs of small checkpoints in the same
  format (to 1e-4), and the published parameter counts of 1x, 2x, 3x and 4x. Not verified by it: the public files
  themselves, and how well they play Minecraft.
- Tensors of the file that the network does not use, left out: {unexpected}.
"""


def import_vpt(model: Path, out: Path, weights: Path | None = None) -> None:
    """Turn OpenAI VPT's pair of files into a checkpoint of ours, a policy or an inverse dynamics model.

    Nothing in the files is executed: anything but plain data is refused by name. Prints the size, the number of
    parameters, and the keys that are missing or unused.

    Args:
        model: settings, F.model.
        out: folder to write: model.safetensors, config.json and README.md.
        weights: weights, F.weights; by default beside F.model.

    Raises:
        FileExistsError: `out` holds another checkpoint, or other files of the names of its files.
        ValueError: a file is damaged, or holds anything but plain data.
    """
    from racing_vpt.checkpoints.folder import CONFIG, check_free_for_checkpoint, holds, save_checkpoint
    from racing_vpt.checkpoints.load import build_module
    from racing_vpt.checkpoints.openai import read_openai
    from racing_vpt.nn.sizes import IDM_SIZES, POLICY_SIZES, NetSize
    from racing_vpt.outputs import sole_writer

    weights = weights or model.with_suffix(".weights")
    checkpoint = read_openai(model, weights)
    module = build_module(checkpoint, f"{weights} with {model}")
    frames, size = checkpoint.init_args["frames"], NetSize(**checkpoint.init_args["network"]["size"])
    is_policy = checkpoint.class_path.endswith(".VPT")
    kind = "policy" if is_policy else "inverse dynamics model"
    named = size_name(size, POLICY_SIZES if is_policy else IDM_SIZES)
    count = sum(parameter.numel() for parameter in module.parameters())
    unexpected = ", ".join(sorted(checkpoint.state_dict.keys() - module.state_dict().keys())) or "none"
    card = CARD.format(
        name=out.name, kind=kind, size=named, count=count, model=model.name, weights=weights.name,
        height=frames["height"], width=frames["width"], game=checkpoint.init_args["game"],
        unexpected=unexpected,
    )  # fmt: skip
    extra = {"imported_from": [model.name, weights.name]}
    with sole_writer(out):
        if (out / CONFIG).exists():
            if holds(out, checkpoint.class_path, module.state_dict()):
                print(f"{out} holds this checkpoint already")
                return
            raise FileExistsError(f"{out} already holds a checkpoint; give another --out")
        check_free_for_checkpoint(out)
        save_checkpoint(out, checkpoint.class_path, checkpoint.init_args, module.state_dict(), extra, card)
    print(f"{kind}, size {named}, {frames['height']}x{frames['width']} frames, game {checkpoint.init_args['game']}")
    print(f"{count:,} parameters\nmissing keys: none\nunexpected keys: {unexpected}\nwritten to {out}")


def size_name(size: NetSize, sizes: dict[str, NetSize]) -> str:
    """Name of a published size such as `2x`; else its dimensions."""
    for name, known in sizes.items():
        if known == size:
            return name
    return (
        f"custom (hidsize {size.hidsize}, {size.attention_heads} heads, {size.n_recurrence_layers} blocks, "
        f"channels {', '.join(map(str, size.scaled_chans))})"
    )
