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
    pictures: bool = False,
    game: str | None = None,
    task: str = "drive",
    file_mib: float = 64.0,
    crf: int = 12,
    on_error: Literal["raise", "skip"] = "raise",
    license: str | None = None,
    author: str | None = None,
) -> dict[str, int]:
    """Write recordings, videos with labels, or shards in another format (data/README.md describes each).

    Videos keep their encoding, and thereby every pixel, wherever the format allows it. Started again, it continues.

    Args:
        folder: recordings, videos (with --labels), or shards.
        format: `table`: each episode as its video and a table of one row per frame; `lerobot`: a LeRobotDataset v3.0;
            `arrays`: numpy arrays of frames, actions, rewards; `minari`: a Minari dataset, of recordings with rewards;
            `mcap`: OWAMcap, a video with the keys, axes and mouse of each moment; `contractor`: as OpenAI's recordings
            of people playing Minecraft.
        out: folder to write, another one.
        labels: labels that an IDM wrote for the videos, in place of recorded controls.
        rows: format of a table: csv, jsonl or parquet.
        pictures: write a table's frames as PNG files, without loss, instead of a video.
        game: name or YAML file of the game whose keys an OWAMcap's buttons are. Default: the usual keys of their names.
        task: what is done, in words, for LeRobot.
        file_mib: size in MiB above which a video file of a LeRobot dataset is closed.
        crf: quality of videos that have to be encoded again; lower is better.
        on_error: stop at an episode that cannot be read, or report it and go on.
        license: licence of episodes that state none, such as CC-BY-4.0; a stated one stays.
        author: who made episodes that do not say it.

    Returns:
        Numbers of episodes `done`, `passed_over` and `failed`, and of `frames`.
    """
    if not folder.exists():
        raise FileNotFoundError(
            f"there is no folder {folder}; export takes recordings, labels or shards (a checkpoint: racing-vpt "
            "export-weights CHECKPOINT OUT)"
        )
    if file_mib <= 0:
        raise ValueError(f"--file_mib {file_mib}: a size above 0 is expected")
    from racing_vpt.data.origin import origin_of
    from racing_vpt.exchange.arrays import ArrayExport
    from racing_vpt.exchange.exporting import Exporter, export_all
    from racing_vpt.exchange.lerobot_export import LeRobotExport
    from racing_vpt.exchange.outgoing import outgoing_episodes
    from racing_vpt.exchange.table_export import TableExport
    from racing_vpt.exchange.table_rows import pyarrow_of

    if rows == "parquet":
        pyarrow_of("--rows parquet")
    episodes = outgoing_episodes(folder, labels, origin_of("export", license, author))
    exporter: Exporter = ArrayExport(out)
    if format == "lerobot":
        exporter = LeRobotExport(out, episodes, task, crf, file_mib)
    elif format == "minari":
        from racing_vpt.exchange.minari_export import MinariExport

        exporter = MinariExport(out, episodes)
    elif format == "table":
        exporter = TableExport(out, rows, crf, pictures)
    elif format == "contractor":
        from racing_vpt.exchange.contractor_export import ContractorExport

        exporter = ContractorExport(out, crf)
    elif format == "mcap":
        from racing_vpt.exchange.mcap_export import McapExport
        from racing_vpt.games.read import load_game

        exporter = McapExport(out, crf, None if game is None else load_game(game))
    return export_all(episodes, exporter, out, on_error)
