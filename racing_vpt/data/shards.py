"""Shards: WebDataset tars of clips with a manifest, read sample by sample at known offsets.

`manifest.json` lists each shard's samples, bytes and sha256, and where in it each sample lies, so that any sample is
one read (of a local file, or a range of a URL), in whatever order; `webdataset.WebDataset` streams the same tars. A
tar that was cut short gives less data without an error, so a shard's size is checked when it is opened.
"""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path

import fsspec

from racing_vpt.data.columns import Columns
from racing_vpt.data.cut import Sample
from racing_vpt.data.decode import Decoder, open_video
from racing_vpt.data.decoders import Video
from racing_vpt.data.files import publish, sha256_of, write_json
from racing_vpt.data.store import Clip, StoredEpisode

FORMAT = 1
MANIFEST = "manifest.json"
PACK_HINT = "make shards with: racing-vpt pack --recordings FOLDER --out FOLDER"


@dataclass(frozen=True)
class Place:
    """Where a sample lies in its shard: offsets and sizes of its two members, in bytes."""

    key: str
    json_offset: int
    json_size: int
    mp4_offset: int
    mp4_size: int
    episode: str
    start: int
    frames: int


@dataclass(frozen=True)
class Shard:
    """One tar, as the manifest lists it."""

    file: str
    split: str
    bytes: int
    sha256: str
    samples: list[Place]

    @classmethod
    def of_json(cls, value: dict) -> Shard:
        """The inverse of `to_json`; ValueError where fields are missing."""
        try:
            return cls(**{**value, "samples": [Place(*row) for row in value["samples"]]})
        except (KeyError, TypeError) as error:
            raise ValueError(f"a shard's entry in the manifest is incomplete: {error}") from error

    def to_json(self) -> dict[str, object]:
        """Plain values; a sample is a list in the order of `Place`'s fields."""
        return {**asdict(self), "samples": [list(vars(place).values()) for place in self.samples]}


class ShardWriter:
    """Writes one shard under a temporary name; `close` publishes it and its entry for the manifest beside it.

    Args:
        path: the tar's final name.
        split: `train` or `val`.
        plan: fingerprint of what is packed and how, which the entry keeps: a later run of it goes on from there.
    """

    def __init__(self, path: Path, split: str, plan: str) -> None:
        self.path, self.split, self.plan = path, split, plan
        self._temporary = path.with_name(f".tmp-{path.name}")
        import webdataset  # here, because it imports torch, and `pack --help` need not wait for that

        self._tar = webdataset.TarWriter(str(self._temporary), encoder=False, mtime=0.0)
        self._about: dict[str, dict] = {}
        self.num_bytes = 0

    def add(self, sample: Sample) -> None:
        """Append a sample."""
        self._tar.write({"__key__": sample.key, "json": sample.json, "mp4": sample.mp4})
        about = json.loads(sample.json)
        self._about[sample.key] = {name: about[name] for name in ("episode", "start", "frames")}
        self.num_bytes += 2048 + len(sample.json) + len(sample.mp4)

    def close(self) -> None:
        """Publish the tar, then its entry."""
        self._tar.close()
        places = []
        with tarfile.open(self._temporary) as tar:
            members = {member.name: member for member in tar}
        for key, about in self._about.items():
            text, video = members[f"{key}.json"], members[f"{key}.mp4"]
            places.append(Place(key, text.offset_data, text.size, video.offset_data, video.size, **about))
        size = self._temporary.stat().st_size
        shard = Shard(self.path.name, self.split, size, sha256_of(self._temporary), places)
        publish(self._temporary, self.path)
        write_json(entry_of(self.path), {"plan": self.plan, **shard.to_json()})

    def abort(self) -> None:
        """Remove what is unfinished."""
        self._tar.close()
        self._temporary.unlink(missing_ok=True)


def entry_of(path: Path) -> Path:
    """Where a finished shard's entry waits for the manifest."""
    return path.with_suffix(".entry.json")


def write_manifest(out: Path, shards: list[Shard], about: dict[str, object]) -> dict:
    """Write the manifest, last of all; returns it. `about` says how the shards were made."""
    entries = [shard.to_json() for shard in shards]
    splits = {}
    for split in sorted({shard.split for shard in shards}):
        samples = [place for shard in shards if shard.split == split for place in shard.samples]
        episodes = {place.episode for place in samples}
        frames = sum(place.frames for place in samples)
        splits[split] = {"episodes": len(episodes), "samples": len(samples), "frames": frames}
    manifest = {"format": FORMAT, "kind": "shards", **about, "splits": splits, "shards": entries}
    write_json(out / MANIFEST, manifest)
    return manifest


def read_manifest(path: str) -> dict:
    """The manifest of a folder or URL of shards, checked.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no manifest, or of another format.
    """
    if path.startswith("pipe:"):
        raise ValueError(f"{path} would run a command; give a folder or a URL of shards")
    address = f"{path.rstrip('/')}/{MANIFEST}"
    try:
        with fsspec.open(address, "rb") as file:
            manifest = json.loads(file.read())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no {address}; {PACK_HINT}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{address} is not JSON: {error}; {PACK_HINT}") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != "shards" or manifest.get("format") != FORMAT:
        raise ValueError(f"{address} is no manifest of shards of format {FORMAT}; {PACK_HINT}")
    return manifest


class ShardStore:
    """The episodes of one split of a folder or URL of shards (`store.Store`).

    Args:
        path: folder or URL that holds `manifest.json`.
        split: `train` or `val`.
        decoder: which library decodes.
    """

    def __init__(self, path: str, split: str, decoder: Decoder = "auto") -> None:
        manifest = read_manifest(path)
        if split not in manifest["splits"]:
            raise ValueError(
                f"{path} has no split {split!r}, only {sorted(manifest['splits'])}; pack with --val_fraction above 0 "
                "and below 1, or name other shards"
            )
        self.path, self.decoder = path.rstrip("/"), decoder
        self.manifest = manifest
        self.shards = [Shard.of_json(entry) for entry in manifest["shards"] if entry["split"] == split]
        self._files: dict[int, int] = {}
        if "://" not in path:
            for shard in self.shards:
                self._check(Path(self.path) / shard.file, shard.bytes)
        self._places: list[tuple[int, Place]] = []
        clips: dict[str, list[Clip]] = {}
        for number, shard in enumerate(self.shards):
            for place in shard.samples:
                clips.setdefault(place.episode, []).append(Clip(place.start, place.frames, len(self._places)))
                self._places.append((number, place))
        rates = manifest["episode_rates"]
        self.episodes = [StoredEpisode(name, rates[name], tuple(parts)) for name, parts in clips.items()]
        for episode in self.episodes:
            episode.check(self.path)

    def columns(self, clip: Clip) -> Columns:
        """What is known about each frame of a clip."""
        return Columns.of_json(self.about(clip))

    def about(self, clip: Clip) -> dict:
        """The JSON of a clip; ValueError names shard and key where it is damaged."""
        number, place = self._places[clip.handle]
        text = self._read(number, place.json_offset, place.json_size)
        try:
            about = json.loads(text)
            if len(about["first"]) != place.frames or "controls" not in about:
                raise ValueError(f"{len(about['first'])} frames where {place.frames} should be")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(self._damaged(number, place, error)) from error
        return about

    def encoded(self, clip: Clip) -> bytes:
        """The mp4 of a clip."""
        number, place = self._places[clip.handle]
        return self._read(number, place.mp4_offset, place.mp4_size)

    def open(self, clip: Clip) -> tuple[Video, int]:
        """A clip's video, open for reading, and the frame of it that is the clip's first."""
        number, place = self._places[clip.handle]
        try:
            video = open_video(self.encoded(clip), self.decoder)
        except ValueError as error:
            raise ValueError(self._damaged(number, place, error)) from error
        if video.num_frames != clip.frames:
            raise ValueError(self._damaged(number, place, f"{video.num_frames} frames where {clip.frames} should be"))
        return video, 0

    def _damaged(self, number: int, place: Place, why: object) -> str:
        file = f"{self.path}/{self.shards[number].file}"
        return f"{file}, sample {place.key}: {why}; check the shards with: racing-vpt verify {self.path}"

    def _read(self, number: int, offset: int, size: int) -> bytes:
        shard = self.shards[number]
        address = f"{self.path}/{shard.file}"
        if "://" not in self.path:
            if number not in self._files:
                self._files[number] = os.open(address, os.O_RDONLY)
            data = os.pread(self._files[number], size, offset)  # has no position, so forked workers may share it
        else:
            system, inner = fsspec.core.url_to_fs(address)
            data = system.cat_file(inner, start=offset, end=offset + size)
        if len(data) != size:
            raise ValueError(f"{address}: {len(data)} bytes where {size} were asked for; does it serve ranges?")
        return data

    @staticmethod
    def _check(path: Path, size: int) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"the manifest names {path}, which is not there; {PACK_HINT}")
        if path.stat().st_size != size:
            raise ValueError(f"{path} has {path.stat().st_size} bytes, but the manifest says {size}; pack it again")

    def __getstate__(self) -> dict:
        return {**vars(self), "_files": {}}
