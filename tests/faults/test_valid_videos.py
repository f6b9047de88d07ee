"""Video as anybody records it is labelled with one line a frame, at its time, or refused with what to type."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from racing_vpt.data.windows import windows_of
from racing_vpt.types import FrameSpec
from racing_vpt.video.decode import open_video
from racing_vpt.video.examine import ExaminedVideo, examine
from tests.faults.harness import FULL, note, tries
from tests.video import marked

SPEC = FrameSpec(height=24, width=32, every_frame=True)
NOT_WRITTEN = {  # cells that FFmpeg does not write, or not so that anybody can read it (HEVC in avi)
    "webm": set(marked.CODECS) - {"vp9", "av1"},
    "avi": {"hevc"},
    "mov": {"vp9", "av1", "ffv1"},
    "ts": set(),
}
SHORT = ("mp4", "avi", "ts")  # containers of `make test`; all in `make test-faults`
NO_STREAM = {"vp9", "av1", "ffv1", "mjpeg"}  # a transport stream does not name these, so that nobody can read them
FINE = 0.0011  # seconds; matroska rounds to milliseconds


def assert_labelled(path: Path, times: np.ndarray | None = None, frames: int = marked.FRAMES, first: int = 0) -> None:
    """Each frame has its line, in order, at its time (seconds after the first), and any may be read at any time."""
    windows = list(windows_of("video", path, SPEC, 16, 8))
    assert windows[-1].error is None, windows[-1].error
    lines = [int(frame) for window in windows for frame in window.source_frames]
    seen = [marked.numbers(window.frames)[row] for window in windows for row in window.source_rows]
    at = np.concatenate([window.source_timestamps for window in windows])
    assert lines == list(range(frames))
    assert seen == list(range(first, first + frames))
    expected = np.arange(frames) / 30 if times is None else times
    assert np.abs(at - expected).max() < FINE, np.abs(at - expected).max()
    jumping = open_video(path)
    order = [frames - 1, 0, frames // 2, frames // 2 + 1, 3]
    assert marked.numbers(jumping.read(order)) == [first + index for index in order]
    assert np.abs(jumping.timestamps - expected).max() < FINE


@pytest.mark.parametrize("codec", marked.CODECS)
def test_each_codec_is_read_from_each_container(codec: str, tmp_path: Path) -> None:
    cells = 0
    for container, (suffix, _) in marked.CONTAINERS.items():
        if codec in NOT_WRITTEN.get(container, set()) or not (FULL or container in SHORT):
            continue
        path = marked.write(tmp_path / f"{container}.{suffix}", codec, container)
        if container == "ts" and codec in NO_STREAM:
            with pytest.raises(ValueError, match=r"ts\.ts has no video stream; .*record into an mp4 or mkv"):
                examine(path)
        else:
            assert_labelled(path)
        cells += 1
    note(f"valid video: {codec} in {cells} containers", cells, cells)
    assert cells >= (5 if FULL else 2)


RATES = {"23.976": Fraction(24000, 1001), "59.94": Fraction(60000, 1001), "120": Fraction(120), "variable": None}
UNEVEN = [0, *np.cumsum(np.random.default_rng(1).integers(4, 90, marked.FRAMES - 1)).tolist()]  # milliseconds


@pytest.mark.parametrize("rate", RATES)
def test_frames_of_any_rate_have_their_own_times(rate: str, tmp_path: Path) -> None:
    even = RATES[rate]
    times = np.array(UNEVEN) / 1000 if even is None else np.arange(marked.FRAMES) / float(even)
    for container in ("mp4", "fragmented mp4", "mkv", "ts", "mov"):
        path = tmp_path / f"{container}.{marked.CONTAINERS[container][0]}"
        marked.write(path, "h264", container, rate=even or Fraction(30), times=UNEVEN if even is None else None)
        assert_labelled(path, times)
    note(f"valid video: {rate} frames/s in 5 containers", 5, 5)


TURNS = [(90.0, False), (180.0, False), (-90.0, False), (0.0, True), (90.0, True)]


@pytest.mark.parametrize(("degrees", "mirrored"), TURNS)
def test_a_video_is_turned_as_players_turn_it(degrees: float, mirrored: bool, tmp_path: Path) -> None:
    stored = marked.pictures()[:1]
    upright = np.rot90(stored[0], round(degrees / 90))
    upright = upright[:, ::-1] if mirrored else upright
    for container in ("mp4", "mkv", "mov"):
        path = tmp_path / f"turned.{marked.CONTAINERS[container][0]}"
        marked.write(path, "h264 4:4:4", container, degrees=degrees, mirrored=mirrored)
        assert_labelled(path)
        for video in (ExaminedVideo(path), open_video(path), open_video(path, "pyav")):
            shown = video.read([0])[0]
            assert (video.height, video.width) == shown.shape[:2] == upright.shape[:2]
            assert np.abs(shown.astype(int) - upright).mean() < 3
    note(f"valid video: turned by {degrees:g} degrees{', mirrored' if mirrored else ''}, in 3 containers", 3, 3)


def test_a_video_that_is_to_be_turned_by_half_a_quarter_is_refused_with_what_to_type(tmp_path: Path) -> None:
    path = marked.write(tmp_path / "my turn.mp4", degrees=45)
    with pytest.raises(ValueError, match=r"turn\.mp4 is .* turned by 45 degrees; .*ffmpeg -i 'my turn\.mp4' NEW\.mp4"):
        examine(path)


SOUNDS = {"mp4": "aac", "mov": "aac", "mkv": "aac", "ts": "aac", "avi": "libmp3lame", "fragmented mp4": "aac"}


def test_sound_beside_the_pictures_changes_nothing(tmp_path: Path) -> None:
    for container, sound in SOUNDS.items():
        path = tmp_path / f"{container}.{marked.CONTAINERS[container][0]}"
        assert_labelled(marked.write(path, "h264 4 slices", container, sound=sound))
    assert_labelled(marked.write(tmp_path / "a.webm", "vp9", "webm", sound="libopus"))
    assert_labelled(marked.write(tmp_path / "before.mp4", "h264", sound="aac", sound_first=True))
    note("valid video: sound beside it, in 7 containers; sound before it", 8, 8)


def test_a_video_that_starts_late_is_timed_from_its_first_frame(tmp_path: Path) -> None:
    containers = ("mp4", "fragmented mp4", "mov", "mkv", "ts")
    for container in containers:
        path = tmp_path / f"{container}.{marked.CONTAINERS[container][0]}"
        assert_labelled(marked.write(path, "h264", container, start=5000))
    assert_labelled(marked.write(tmp_path / "with sound.mkv", "h264", "mkv", start=700, sound="aac"))
    note("valid video: starts at 5 s, in 5 containers", 5, 5)


@pytest.mark.parametrize(("skip", "frames"), [(0, 24), (3, 21), (11, 13), (0, 13), (5, 10)])
def test_what_an_edit_list_leaves_out_is_not_labelled(skip: int, frames: int, tmp_path: Path) -> None:
    for container in ("mp4", "mov"):
        whole = marked.write(tmp_path / f"whole.{container}", "h264", container)
        path = marked.edited(tmp_path / f"edited.{container}", whole, skip, frames)
        assert_labelled(path, frames=frames, first=skip)
    note(f"valid video: an edit list from frame {skip} on, {frames} frames", 2, 2)


def test_odd_sizes_are_read(tmp_path: Path) -> None:
    kinds = {"h264 4:4:4": "mp4", "vp9": "webm", "ffv1": "mkv", "mjpeg": "avi", "mpeg4": "mov", "av1": "mkv"}
    for codec, container in kinds.items():
        path = marked.write(tmp_path / f"{codec[:3]}.{container}", codec, container, height=49, width=67)
        assert_labelled(path)
        assert (ExaminedVideo(path).height, ExaminedVideo(path).width) == (49, 67)
    note("valid video: 67x49 pixels, in 6 codecs", 6, 6)


def test_a_cover_is_not_taken_for_the_video(tmp_path: Path) -> None:
    path = tmp_path / "covered.mkv"
    with av.open(str(path), "w") as file, av.open(str(marked.write(tmp_path / "plain.mkv", "h264", "mkv"))) as plain:
        cover = file.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = 96, 96, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        stream = file.add_stream_from_template(plain.streams.video[0])
        picture = av.VideoFrame.from_ndarray(np.zeros((96, 96, 3), np.uint8), format="rgb24")
        file.mux(cover.encode(picture))
        file.mux(cover.encode(None))
        for packet in plain.demux(video=0):
            if packet.size:
                packet.stream = stream
                file.mux(packet)
    assert_labelled(path)


def test_a_wrong_checksum_of_ffv1_is_found(tmp_path: Path) -> None:
    path = marked.write(tmp_path / "archive.mkv", "ffv1", "mkv")
    content, count = path.read_bytes(), tries(100, 10)
    dice, found = random.Random(3), 0
    for _ in range(count):
        path.write_bytes(flipped(content, packets_of(path), dice))
        try:
            examine(path)
        except ValueError as error:
            found += "archive.mkv is damaged" in str(error)
        path.write_bytes(content)
    note("one flipped bit in FFV1 with checksums: found", count, found)
    assert found == count


def packets_of(path: Path) -> list[range]:
    """Where the bytes of each picture lie in a file."""
    with av.open(str(path)) as file:
        packets = [bytes(packet) for packet in file.demux(video=0) if packet.size]
    places = [path.read_bytes().index(packet) for packet in packets]
    return [range(place, place + len(packet)) for place, packet in zip(places, packets, strict=True)]


def flipped(content: bytes, packets: list[range], dice: random.Random) -> bytes:
    """The content with one bit flipped that belongs to a picture."""
    (packet,) = dice.choices(packets, weights=[len(packet) for packet in packets])
    changed = bytearray(content)
    changed[dice.choice(packet)] ^= 1 << dice.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize(("slices", "least"), [(1, 0.6), (4, 0.75), (16, 0.85)])
def test_most_flipped_bits_are_found_or_change_nothing(slices: int, least: float, tmp_path: Path) -> None:
    path = noisy(tmp_path / "flipped.mp4", "h264" if slices == 1 else f"h264 {slices} slices")
    content, packets, dice = path.read_bytes(), packets_of(path), random.Random(1)
    clean = ExaminedVideo(path).read(range(NOISY)).astype(int)
    count, came = tries(300, 12), Counter[str]()
    for _ in range(count):
        path.write_bytes(flipped(content, packets, dice))
        came[outcome(path, clean)] += 1
    said = ", ".join(f"{number} {what}" for what, number in sorted(came.items()))
    harmless = count - came["other pictures"]
    note(f"(not promised) one flipped bit in H.264, slices a frame: {slices}; {said}", count, harmless)
    assert harmless >= least * count, said


NOISY = 30


def noisy(path: Path, codec: str) -> Path:
    """A picture of 128x256 with much detail that moves, so that slices hold hundreds of bytes."""
    detail = np.random.default_rng(0).integers(0, 256, (40, 24, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    encoder, pixel_format, options = marked.CODECS[codec]
    with av.open(str(path), "w") as file:
        stream = file.add_stream(encoder, rate=30, options={**options, "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = 256, 128, pixel_format
        stream.codec_context.thread_count, stream.codec_context.gop_size = 1, 15
        for index in range(NOISY):
            frame = np.ascontiguousarray(np.roll(detail, (index, 2 * index), (0, 1))[:256, :128])
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = index
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    return path


def outcome(path: Path, clean: np.ndarray) -> str:
    """How a damaged video is found, or how much of it differs from the clean one."""
    try:
        video = ExaminedVideo(path)
        shown = video.read(range(len(clean)))
        video.finish()
    except ValueError as error:
        if path.name not in str(error):
            raise
        return "found by the decoder" if "near frame" in str(error) else "found as patched or missing"
    return "the same pictures" if (shown == clean).all() else "other pictures"
