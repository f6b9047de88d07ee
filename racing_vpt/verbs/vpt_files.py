"""`racing-vpt import-vpt` and `export-vpt`: OpenAI's pair of files to a checkpoint of ours, and back."""

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
- Controls: scheme `{scheme}`.
- Verified by this project: the reader and the network, against reference outputs of small checkpoints in the same
  format (to 1e-4), and the published parameter counts of 1x, 2x, 3x and 4x. Not verified by it: the public files
  themselves, and how well they play Minecraft.
- Tensors of the file that the network has no use for, and that were left out: {unexpected}.
"""


def import_vpt(model: Path, out: Path, weights: Path | None = None) -> None:
    """Turn OpenAI VPT's pair of files into a checkpoint of ours, a policy or an inverse dynamics model.

    Nothing in the files is executed: what is no plain data is refused by name. Prints the size, the number of
    parameters and the keys that are missing or not used.

    Args:
        model: the settings, F.model.
        out: folder to write: model.safetensors, config.json and README.md.
        weights: the weights, F.weights; beside F.model if not given.
    """
    from racing_vpt.checkpoints.folder import CONFIG, save_checkpoint
    from racing_vpt.checkpoints.load import build_module
    from racing_vpt.checkpoints.openai import read_openai
    from racing_vpt.nn.sizes import IDM_SIZES, POLICY_SIZES, NetSize

    if (out / CONFIG).exists():
        raise FileExistsError(f"{out} holds a checkpoint already; give another --out")
    weights = weights or model.with_suffix(".weights")
    checkpoint = read_openai(model, weights)
    module = build_module(checkpoint, f"{weights} with {model}")
    frames, size = checkpoint.init_args["frames"], NetSize(**checkpoint.init_args["size"])
    is_policy = checkpoint.class_path.endswith(".VPT")
    kind = "policy" if is_policy else "inverse dynamics model"
    named = size_name(size, POLICY_SIZES if is_policy else IDM_SIZES)
    count = sum(parameter.numel() for parameter in module.parameters())
    unexpected = ", ".join(sorted(checkpoint.state_dict.keys() - module.state_dict().keys())) or "none"
    card = CARD.format(
        name=out.name, kind=kind, size=named, count=count, model=model.name, weights=weights.name,
        height=frames["height"], width=frames["width"], scheme=checkpoint.init_args["scheme"],
        unexpected=unexpected,
    )  # fmt: skip
    extra = {"imported_from": [model.name, weights.name]}
    save_checkpoint(out, checkpoint.class_path, checkpoint.init_args, module.state_dict(), extra, card)
    print(f"{kind}, size {named}, {frames['height']}x{frames['width']} frames, scheme {checkpoint.init_args['scheme']}")
    print(f"{count:,} parameters\nmissing keys: none\nunexpected keys: {unexpected}\nwritten to {out}")


def export_vpt(checkpoint: str, model: Path, weights: Path | None = None) -> None:
    """Write a checkpoint as OpenAI VPT's pair of files, which the original code loads; an import gives the same bits.

    Only Minecraft's controls can be exported, and only networks without additions of ours.

    Args:
        checkpoint: run folder, file, zoo:NAME or OpenAI's F.model.
        model: settings to write, F.model.
        weights: weights to write; F.weights if not given.
    """
    from racing_vpt.checkpoints.load import load_module
    from racing_vpt.models.vpt_export import original_files, write_files

    if model.suffix != ".model" or (weights is not None and weights.suffix != ".weights"):
        raise ValueError(f"the files are called F.model and F.weights, but {model} and {weights} were given")
    weights = weights or model.with_suffix(".weights")
    for file in (model, weights):
        if file.exists():
            raise FileExistsError(f"{file} exists already; give another --model and --weights")
    settings, tensors = original_files(load_module(checkpoint), checkpoint)
    write_files(settings, tensors, model, weights)
    count = sum(tensor.numel() for tensor in tensors.values())
    print(f"{len(tensors)} tensors, {count:,} numbers, in {weights}; their settings in {model}")


def size_name(size: NetSize, sizes: dict[str, NetSize]) -> str:
    """`2x` where it is a published size, else what it is made of."""
    for name, known in sizes.items():
        if known == size:
            return name
    return (
        f"of its own (hidsize {size.hidsize}, {size.attention_heads} heads, {size.n_recurrence_layers} blocks, "
        f"channels {', '.join(map(str, size.scaled_chans))})"
    )
