"""Cutting of an episode into short, independently decodable clips."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace

import av
import numpy as np

from racing_vpt.data.origin import joined, origin_of_labels
from racing_vpt.data.pairing import PairedRecording
from racing_vpt.frames import resize
from racing_vpt.types import Fit, Resize
from racing_vpt.video.containers import open_container
from racing_vpt.video.decode import MOST_BYTES, Decoder, resample
from racing_vpt.video.decoders import Video
from racing_vpt.video.encode import PixelFormat, VideoWriter


@dataclass(frozen=True)
class ClipFormat:
    """Format of clips.

    Args:
        height: pixels.
        width: pixels.
        frames_per_second: rate; None keeps each video's own.
        clip_frames: frames per clip.
        fit: fit of a picture with another aspect ratio (`FrameSpec.fit`).
        resize: method of shrinking (`FrameSpec.resize`).
        crf: quality of re-encoded clips (`VideoWriter`).
        pixel_format: pixel format of re-encoded clips (`VideoWriter`).
        decoder: decoding library.
    """

    height: int = 96
    width: int = 96
    frames_per_second: float | None = None
    clip_frames: int = 64
    fit: Fit = "stretch"
    resize: Resize = "area"
    crf: int = 12
    pixel_format: PixelFormat = "yuv444p"
    decoder: Decoder = "auto"


@dataclass(frozen=True)
class Sample:
    """A clip as stored in a shard: key, video and JSON."""

    key: str
    mp4: bytes
    json: bytes


@dataclass(frozen=True)
class Piece:
    """Part of an episode for one worker: output frames [start, stop), whole clips."""

    episode: PairedRecording
    start: int
    stop: int
    num_frames: int


def output_rate(episode: PairedRecording, form: ClipFormat) -> float:
    """Frames per second of an episode's clips."""
    return form.frames_per_second or episode.recording.frames_per_second


def pieces_of(episode: PairedRecording, form: ClipFormat, piece_frames: int = 16384) -> list[Piece]:
    """The pieces of an episode, of at most `piece_frames` output frames each."""
    sources = _sources(episode, form)
    step = max(1, piece_frames // form.clip_frames) * form.clip_frames
    return [Piece(episode, at, min(at + step, len(sources)), len(sources)) for at in range(0, len(sources), step)]


def cut(piece: Piece, form: ClipFormat) -> list[Sample]:
    """The clips of a piece.

    Frames are copied without decoding if size, rate and key frames allow it, otherwise decoded and re-encoded.
    """
    episode = piece.episode
    sources = _sources(episode, form)
    columns = episode.columns()
    copies = _copy_clips(piece, form, sources)
    video = None if copies else episode.recording.open_video(form.decoder)
    samples = []
    license = joined([episode.recording.meta.get("license"), origin_of_labels(episode.labels).get("license")])
    for number, start in enumerate(range(piece.start, piece.stop, form.clip_frames)):
        stop = min(start + form.clip_frames, len(sources))
        last = episode.span[1] if episode.span else len(columns)
        end = int(sources[stop]) if stop < len(sources) else last
        rows = columns.spans(sources[start:stop], end)
        if episode.span and start == 0:  # what was before the gap must not be remembered
            rows = replace(rows, first=rows.first | (np.arange(len(rows)) == 0))
        if copies:
            mp4 = copies[number]
        else:
            assert video is not None
            mp4 = _encode(video, sources[start:stop], output_rate(episode, form), form)
        about = {
            "format": 1,
            "episode": episode.name,
            "start": start,
            "frames": stop - start,
            "episode_frames": piece.num_frames,
            "frames_per_second": output_rate(episode, form),
            "actions_from": episode.actions_from,
            **({"license": license} if license else {}),
        }
        text = json.dumps({**about, **rows.to_json()}, allow_nan=False)
        samples.append(Sample(f"{episode.name}-{start:07d}", mp4, text.encode()))
    return samples


def _sources(episode: PairedRecording, form: ClipFormat) -> np.ndarray:
    """Source frame of each output frame, int64 [M]."""
    sources = _all_sources(episode, form)
    if episode.span is None:
        return sources
    start, stop = episode.span
    return sources[(start <= sources) & (sources < stop)]


def _all_sources(episode: PairedRecording, form: ClipFormat) -> np.ndarray:
    """As `_sources`, of the whole recording."""
    recording = episode.recording
    recording.check()
    if form.frames_per_second is None:
        if recording.uneven:
            raise ValueError(
                f"{recording.video} has frames at uneven distances in time, and clips have one rate; give "
                "--frames_per_second, or train on the recordings as they are"
            )
        return np.arange(recording.num_frames)
    if recording.meta or recording.video.is_dir():  # which say when each frame was
        times = recording.times
    else:
        times = recording.open_video(form.decoder).timestamps
    return resample(times, form.frames_per_second)


def _encode(video: Video, indices: np.ndarray, frames_per_second: float, form: ClipFormat) -> bytes:
    file = io.BytesIO()
    writer = VideoWriter(file, frames_per_second, form.height, form.width, form.crf, form.pixel_format)
    step = max(1, MOST_BYTES // (video.height * video.width * 3))
    for at in range(0, len(indices), step):
        for frame in video.read(indices[at : at + step]):
            writer.add(resize(frame, form.height, form.width, form.fit, form.resize))
    writer.close()
    return file.getvalue()


def _copy_clips(piece: Piece, form: ClipFormat, sources: np.ndarray) -> list[bytes]:
    """The clips' packets as separate files; empty if that is not possible."""
    video = piece.episode.recording.video
    if video.is_dir() or len(sources) != piece.episode.recording.num_frames or (np.diff(sources) != 1).any():
        return []
    with open_container(video) as container:
        stream = container.streams.video[0]
        if stream.codec_context.name != "h264" or (stream.height, stream.width) != (form.height, form.width):
            return []
        if stream.codec_context.pix_fmt != form.pixel_format:
            return []
        packets = [packet for packet in container.demux(stream) if packet.size]
        ordered = all(packet.pts == packet.dts for packet in packets)
        starts = range(piece.start, piece.stop, form.clip_frames)
        if len(packets) != len(sources) or not ordered or not all(packets[start].is_keyframe for start in starts):
            return []
        clips = []
        for start in starts:
            file = io.BytesIO()
            with av.open(file, "w", format="mp4") as target:
                copy = target.add_stream_from_template(stream)
                origin = packets[start].pts or 0
                for packet in packets[start : min(start + form.clip_frames, piece.stop)]:
                    packet.pts = packet.dts = (packet.pts or 0) - origin
                    packet.stream = copy
                    target.mux(packet)
            clips.append(file.getvalue())
        return clips
