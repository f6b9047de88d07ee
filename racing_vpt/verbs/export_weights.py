"""`racing-vpt export-weights`: a checkpoint as a small folder, as in the zoo."""

from __future__ import annotations

from pathlib import Path


def export_weights(checkpoint: str, out: Path, card: Path | None = None, overwrite: bool = False) -> None:
    """Write a checkpoint as a folder of model.safetensors, config.json and README.md, without its training state.

    Args:
        checkpoint: run folder, file, zoo:NAME or OpenAI's F.model.
        out: folder to write; racing_vpt/zoo/NAME makes it `zoo:NAME`.
        card: text file of the model card: data, seeds, commands, time, scores, limits.
        overwrite: replace the three files where they are there already, such as those of an earlier export.

    Raises:
        FileExistsError: one of the three files is there already.
    """
    from racing_vpt.checkpoints.folder import CARD, CONFIG, WEIGHTS, check_free_for_checkpoint
    from racing_vpt.checkpoints.load import export_run
    from racing_vpt.outputs import sole_writer

    if card is not None and not card.is_file():
        raise FileNotFoundError(f"there is no model card {card}")
    text = card.read_text() if card is not None else f"# {out.name}\n\nMade from {Path(checkpoint).name}.\n"
    with sole_writer(out):
        if not overwrite:
            check_free_for_checkpoint(out)
        written = export_run(checkpoint, out, text)
    mib = sum((out / name).stat().st_size for name in (WEIGHTS, CONFIG, CARD)) / 2**20
    print(f"{written.class_path}, {written.fingerprint}, {mib:.1f} MiB in {out}")
