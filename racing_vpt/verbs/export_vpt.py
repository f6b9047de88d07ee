"""`racing-vpt export-vpt`: a checkpoint as OpenAI VPT's pair of files."""

from __future__ import annotations

from pathlib import Path


def export_vpt(checkpoint: str, model: Path, weights: Path | None = None) -> None:
    """Write a checkpoint as OpenAI VPT's pair of files, which the original code loads.

    Importing them again gives the same weights bit by bit. Only networks with Minecraft's controls and without
    additions to OpenAI's architecture can be exported.

    Args:
        checkpoint: run folder, file, zoo:NAME or OpenAI's F.model.
        model: settings to write, F.model.
        weights: weights to write; by default F.weights beside F.model.

    Raises:
        FileExistsError: one of the files exists.
        ValueError: the files have other suffixes, or the checkpoint cannot be exported.
    """
    from racing_vpt.checkpoints.load import load_module
    from racing_vpt.models.vpt_export import original_files, write_files
    from racing_vpt.outputs import sole_writer_of

    if model.suffix != ".model" or (weights is not None and weights.suffix != ".weights"):
        raise ValueError(f"expected files called F.model and F.weights, but {model} and {weights} were given")
    weights = weights or model.with_suffix(".weights")
    for file in (model, weights):
        if file.exists():
            raise FileExistsError(f"{file} already exists; give another --model and --weights")
    settings, tensors = original_files(load_module(checkpoint), checkpoint)
    with sole_writer_of(model, weights):
        write_files(settings, tensors, model, weights)
    count = sum(tensor.numel() for tensor in tensors.values())
    print(f"{len(tensors)} tensors, {count:,} numbers, in {weights}; their settings in {model}")
