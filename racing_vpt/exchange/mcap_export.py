"""Export of each episode as an OWAMcap file: NAME.mcap with what was pressed when, beside the video NAME.mp4.

What a desktop's devices say is rounded (a mouse counts in whole units) or has no name for rewards and confidence;
topic `racing_vpt/controls` has all of it, frame by frame. Time 0 is the episode's first frame.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from racing_vpt.data.columns import Columns
from racing_vpt.exchange.contractor import DEGREES
from racing_vpt.exchange.episode_files import EpisodeFiles, FileExporter
from racing_vpt.exchange.footage import encode_video, save_video, whole_file
from racing_vpt.exchange.outgoing import Outgoing
from racing_vpt.exchange.owa_messages import CAMERA, MOUSE_FLAGS, PROFILE, SCHEMAS, TOPICS, Devices, devices_of
from racing_vpt.files import Draft
from racing_vpt.games.game import Game
from racing_vpt.video.containers import open_container
from racing_vpt.video.pyav_video import video_stream

if TYPE_CHECKING:
    from types import ModuleType

KIND = "mcap"  # in the meta file of what is exported
SECOND = 1_000_000_000  # nanoseconds
Message = tuple[str, int, dict[str, object]]  # topic, nanoseconds, content


@dataclass(frozen=True)
class McapExport(FileExporter):
    """Writes NAME.mcap, NAME.mp4 (or the video's own container) and NAME.meta.json (`exporting.Exporter`).

    Args:
        out: folder to write.
        crf: quality of videos that have to be encoded again.
        game: game whose keys are the buttons; None: the usual keys of their names.

    Raises:
        ValueError: mcap is not installed.
    """

    out: Path
    crf: int
    game: Game | None

    def __post_init__(self) -> None:
        mcap_writer("--format mcap")

    @property
    def _files(self) -> EpisodeFiles:
        return EpisodeFiles(self.out, KIND, {"crf": self.crf, "game": self.game.name if self.game else None})

    def write(self, episode: Outgoing) -> str:
        """Write an episode; returns what was changed.

        Raises:
            FileExistsError: a file of one of the names is not an earlier export.
        """
        columns, footage, name = episode.columns(), episode.footage(), episode.name
        columns.check(footage.num_frames)
        devices = devices_of([*columns.controls], self.game)
        whole = whole_file(footage)
        video = Draft(self.out / f"{name}{whole.suffix if whole else '.mp4'}")
        messages, kept = Draft(self.out / f"{name}.mcap"), True

        def fill() -> None:
            nonlocal kept
            kept = save_video(footage, video.temporary, episode.frames_per_second, self.crf)
            shown = shown_at(video.temporary)
            if len(shown) != len(columns):  # packets that are not shown, as in an edited video
                kept = False
                encode_video(footage, video.temporary, episode.frames_per_second, self.crf)
                shown = shown_at(video.temporary)
            times = episode.times()
            since = np.arange(len(columns)) / episode.frames_per_second if times is None else times
            at = np.rint(since * SECOND).astype(int).tolist()
            told = messages_of(
                columns, devices, video.path.name, size_of(video.temporary), list(zip(at, shown, strict=True))
            )
            write_mcap(messages.temporary, told, {**episode.about, "name": name})

        self._files.write(episode, [video, messages], fill)
        changes = [] if kept else [f"its video is encoded again, at crf {self.crf}"]
        if devices.rest:
            changes.append(f"no key or axis for {', '.join(devices.rest)}: in topic racing_vpt/controls only")
        return "; ".join(changes)


def mcap_writer(what: str) -> ModuleType:
    """The module mcap.writer; ValueError if it is not installed."""
    try:
        import mcap.writer
    except ImportError as error:
        raise ValueError(f"{what} needs the package mcap: pip install 'racing-vpt[mcap]'") from error
    return mcap.writer


def shown_at(path: Path) -> list[int]:
    """Nanoseconds at which the frames of a video are shown, by the file's own clock, in order.

    Rounded up: a reader takes the last frame that is not after the time it looks for.
    """
    with open_container(path) as container:
        stream = video_stream(container)
        unit = stream.time_base
        assert unit is not None, "a stream has a clock"
        packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
        return sorted(ceil((packet.pts or 0) * unit * SECOND) for packet in packets)


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a video, pixels."""
    with open_container(path) as container:
        stream = video_stream(container)
        return stream.width, stream.height


def messages_of(
    columns: Columns, devices: Devices, video: str, size: tuple[int, int], times: list[tuple[int, int]]
) -> Iterator[Message]:
    """The messages of an episode in order of time.

    Args:
        columns: controls, rewards and flags, T rows.
        devices: where the controls are found.
        video: name of the video beside the file.
        size: its width and height, pixels.
        times: of each frame, nanoseconds since the first one and by the video's clock.
    """
    down, lasting = set[int](), dict.fromkeys(MOUSE_FLAGS, False)
    for index, (now, shown) in enumerate(times):
        values = {name: float(str(column[index])) for name, column in columns.controls.items()}
        shape = list(size)
        yield "screen", now, {"source_shape": shape, "shape": shape, "media_ref": {"uri": video, "pts_ns": shown}}
        held = {code for name, code in devices.keys.items() if values[name] != 0}
        for kind, codes in (("press", held - down), ("release", down - held)):
            for code in sorted(codes):
                yield "keyboard", now, {"event_type": kind, "vk": code, "timestamp": now}
        if devices.keys and (index == 0 or now // SECOND > times[index - 1][0] // SECOND):
            yield "keyboard/state", now, {"buttons": sorted(held), "timestamp": now}
        down = held
        if devices.mouse:
            yield from _mouse(values, devices.mouse, lasting, now)
        if devices.axes:
            axes = {axis: values[name] for name, axis in devices.axes.items()}
            pad = {"gamepad_type": "GAMEPAD_TYPE_STANDARD", "buttons": [], "axes": axes, "timestamp": now}
            yield "gamepad/state", now, pad
        known = {"reward": columns.reward, "confidence": columns.confidence}
        more = {name: float(str(column[index])) for name, column in known.items() if column is not None}
        yield (
            "racing_vpt/controls",
            now,
            {"frame": index, "controls": values, "first": bool(columns.first[index]), **more},
        )


def write_mcap(path: Path, messages: Iterator[Message], about: Mapping[str, object]) -> None:
    """Write messages to a file, with `about` as its metadata `racing_vpt`."""
    writer_module = mcap_writer("--format mcap")
    import mcap

    from racing_vpt import __version__

    with path.open("wb") as stream:
        writer = writer_module.Writer(stream)
        writer.start(profile=PROFILE, library=f"racing-vpt {__version__}; mcap {mcap.__version__}")
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
        writer.add_metadata("racing_vpt", {key: text for key, text in texts.items() if text != "null"})
        channels: dict[str, int] = {}
        for number, (topic, now, content) in enumerate(messages):
            if topic not in channels:
                schema = json.dumps(SCHEMAS[TOPICS[topic]]).encode()
                kind = writer.register_schema(name=TOPICS[topic], encoding="jsonschema", data=schema)
                channels[topic] = writer.register_channel(topic=topic, message_encoding="json", schema_id=kind)
            writer.add_message(channels[topic], now, json.dumps(content).encode(), now, number)
        writer.finish()


def _mouse(
    values: Mapping[str, float], controls: tuple[str, ...], lasting: dict[str, bool], now: int
) -> Iterator[Message]:
    """A message where the mouse moved or a button changed; `lasting` keeps which buttons are down."""
    moved = {field: round(values[name] / DEGREES) for name, field in CAMERA.items() if name in values}
    flags = 0
    for name, (press, release) in MOUSE_FLAGS.items():
        pressed = name in controls and values[name] != 0
        if pressed != lasting[name]:
            flags |= press if pressed else release
            lasting[name] = pressed
    if flags or any(moved.values()):
        still = {"last_x": 0, "last_y": 0}
        yield (
            "mouse/raw",
            now,
            {**still, **moved, "us_flags": 0, "button_flags": flags, "button_data": 0, "timestamp": now},
        )
