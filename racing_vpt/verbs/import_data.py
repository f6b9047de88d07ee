"""`racing-vpt import`: recordings from data in the formats of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from racing_vpt.exchange.options import ColumnMapping, ContractorOptions, ImportFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from racing_vpt.exchange.incoming import IncomingEpisode
    from racing_vpt.games.game import Game


def import_data(
    folder: Path,
    *,
    format: ImportFormat,
    out: Path,
    mapping: ColumnMapping = ColumnMapping(),
    game: str | None = None,
    frames_per_second: float | None = None,
    timestamps: bool = True,
    slack: int = 0,
    camera: str | None = None,
    video_only: bool = False,
    pictures: bool = False,
    crf: int = 12,
    contractor: ContractorOptions = ContractorOptions(),
    on_error: Literal["raise", "skip"] = "raise",
    check_lag: bool = True,
    license: str | None = None,
    author: str | None = None,
) -> dict[str, int]:
    """Turn data in another format (data/README.md describes each) into recordings, to be packed, trained from and
    viewed.

    Checked are: one row per frame, rising time stamps, finite values in range; told are frames without any control and
    whatever was changed. A video that is all of one file is copied as it is. Started again, it passes over recordings
    that are done.

    Args:
        folder: the data, in this folder or below it.
        format: `table`: NAME.mp4, or a folder NAME of pictures, with NAME.csv, .jsonl or .parquet beside it;
            `contractor`: OpenAI's recordings of people playing Minecraft, NAME.mp4 with keys and mouse in NAME.jsonl.
            `lerobot`: a LeRobotDataset v3.0 with video; `arrays`: NAME_frames.npy and NAME_actions.npy.
        out: folder for the new recordings, another one.
        mapping: which column is which control.
        game: name or YAML file of the game whose controls all recordings must have.
        frames_per_second: rate of arrays, and of pictures without time stamps.
        timestamps: use the time stamps of a table.
        slack: largest difference between the numbers of frames and rows; the longer one is cut.
        camera: key of the video of a LeRobot dataset that has several, such as observation.images.front.
        video_only: read arrays without their actions, of which there need be none: video for an IDM to label.
        pictures: keep pictures as a folder of PNG files, without loss, instead of encoding them.
        crf: quality of videos that have to be encoded; lower is better.
        contractor: options of OpenAI's contractor recordings.
        on_error: stop at a recording that cannot be read, or report it and go on.
        check_lag: look at up to 24 recordings of 1,000 frames, and say at the end whether their controls come later or
            earlier than the picture.
        license: licence of recordings that state none, such as CC-BY-4.0; a stated one stays.
        author: who made recordings that do not say it.

    Returns:
        Numbers of recordings `done`, `passed_over` and `failed`, and of `frames`.
    """
    from dataclasses import replace

    from racing_vpt.data.origin import origin_of
    from racing_vpt.exchange.incoming import import_all
    from racing_vpt.exchange.lag import LagMeter
    from racing_vpt.games.read import load_game

    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} to import from")
    if video_only and format != "arrays":
        raise ValueError(f"--video_only is for --format arrays; a video of {format} can be labelled as it is")
    played = None if game is None else load_game(game)
    origin = origin_of("import", license, author)
    given = {name: origin[name] for name in ("license", "author") if origin[name] is not None}
    how = {"format": format, "game": game, "pictures": pictures, "crf": crf, **given}
    if format == "contractor":
        episodes = _contractor(folder, contractor, how, played)
    elif format == "lerobot":
        episodes = _lerobot(folder, mapping, camera, how, played)
    elif format == "arrays":
        episodes = _arrays(folder, mapping, frames_per_second, video_only, how, played)
    else:
        episodes = _tables(folder, mapping, frames_per_second, timestamps, slack, how, played)
    stated = [replace(each, stated=origin) for each in episodes]
    return import_all(stated, out, on_error, "data that is imported", LagMeter() if check_lag else None)


def _contractor(
    folder: Path, options: ContractorOptions, how: Mapping[str, object], game: Game | None
) -> Sequence[IncomingEpisode]:
    from dataclasses import asdict
    from functools import partial

    from racing_vpt.exchange.contractor import GUI_SCALES, Quirks
    from racing_vpt.exchange.contractor_files import Import, contractor_sources, read_contractor_episode
    from racing_vpt.exchange.incoming import IncomingEpisode

    version = options.recorder_version
    if version is not None and not version.replace(".", "").isdigit():
        known = ", ".join(GUI_SCALES)
        raise ValueError(
            f"--contractor.recorder_version {version!r} is no version such as 6.8; those that matter: {known}"
        )
    quirks = Quirks(version, options.release_stuck_attack, options.slot_keys, options.escape_is_inventory)
    size = None if options.height is None or options.width is None else (options.height, options.width)
    drop = options.null_actions == "drop"
    read_as = Import(quirks, drop, options.draw_pointer, size, options.resize, options.slack, options.crf)
    told = {**how, **asdict(read_as), "size": list(size) if size else None}
    return [
        IncomingEpisode(source.name, source.files, told, partial(read_contractor_episode, source, read_as), game)
        for source in contractor_sources(folder)
    ]


def _arrays(
    folder: Path,
    mapping: ColumnMapping,
    frames_per_second: float | None,
    video_only: bool,
    how: Mapping[str, object],
    game: Game | None,
) -> Sequence[IncomingEpisode]:
    from dataclasses import asdict
    from functools import partial

    from racing_vpt.exchange.arrays import array_sources, read_array_episode, read_array_video
    from racing_vpt.exchange.incoming import IncomingEpisode

    told = {**how, "frames_per_second": frames_per_second}
    if video_only:
        return [
            IncomingEpisode(source.name, [source.frames], told, partial(read_array_video, source, frames_per_second))
            for source in array_sources(folder)
        ]
    told["mapping"] = asdict(mapping)
    return [
        IncomingEpisode(
            source.name, source.files, told, partial(read_array_episode, source, mapping, frames_per_second), game
        )
        for source in array_sources(folder)
    ]


def _lerobot(
    folder: Path, mapping: ColumnMapping, camera: str | None, how: Mapping[str, object], game: Game | None
) -> Sequence[IncomingEpisode]:
    from dataclasses import asdict
    from functools import partial

    from racing_vpt.exchange.incoming import IncomingEpisode
    from racing_vpt.exchange.lerobot_import import lerobot_episodes, read_lerobot_episode

    return [
        IncomingEpisode(
            source.name,
            source.files,
            {**how, "mapping": asdict(mapping), "episode": source.index, "camera": camera},
            partial(read_lerobot_episode, source, mapping),
            game,
        )
        for source in lerobot_episodes(folder, camera)
    ]


def _tables(
    folder: Path,
    mapping: ColumnMapping,
    frames_per_second: float | None,
    timestamps: bool,
    slack: int,
    how: Mapping[str, object],
    game: Game | None,
) -> Sequence[IncomingEpisode]:
    from dataclasses import asdict
    from functools import partial

    from racing_vpt.exchange.incoming import IncomingEpisode
    from racing_vpt.exchange.table_import import TableReading, read_table_episode, table_sources

    reading = TableReading(mapping, frames_per_second, timestamps, slack)
    return [
        IncomingEpisode(
            source.name, source.files, {**how, **asdict(reading)}, partial(read_table_episode, source, reading), game
        )
        for source in table_sources(folder)
    ]
