"""`racing-vpt export`: recordings, labels and shards in the formats of others."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from racing_vpt.exchange.options import ExportFormat, Rows


def export_data(
    folder: Path,
    *,
    format: ExportFormat,
    out: Path,
    labels: Path | None = None,
    rows: Rows = "csv",
    crf: int = 12,
    on_error: Literal["raise", "skip"] = "raise",
) -> dict[str, int]:
    """Write recordings, videos with labels, or shards in another format (data/README.md describes each).

    Videos keep their encoding, and thereby every pixel, wherever the format allows it. Started again, it continues.

    Args:
        folder: recordings, videos (with --labels), or shards.
        format: `table`: each episode as its video and a table of one row per frame.
        out: folder to write, another one.
        labels: labels that an IDM wrote for the videos, in place of recorded controls.
        rows: format of a table: csv, jsonl or parquet.
        crf: quality of videos that have to be encoded again; lower is better.
        on_error: stop at an episode that cannot be read, or report it and go on.

    Returns:
        Numbers of episodes `done`, `passed_over` and `failed`, and of `frames`.
    """
    if not folder.exists():
        raise FileNotFoundError(
            f"there is no folder {folder}; export takes recordings, labels or shards (a checkpoint: racing-vpt "
            "export-weights CHECKPOINT OUT)"
        )
    from racing_vpt.exchange.exporting import export_all
    from racing_vpt.exchange.outgoing import outgoing_episodes
    from racing_vpt.exchange.table_export import TableExport
    from racing_vpt.exchange.table_rows import pyarrow_of

    if rows == "parquet":
        pyarrow_of("--rows parquet")
    return export_all(outgoing_episodes(folder, labels), TableExport(out, rows, crf), out, on_error)
