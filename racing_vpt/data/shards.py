"""Shards: WebDataset tars of clips with a manifest, read sample by sample at known offsets.

`manifest.json` lists each shard's size, sha256 and samples with their offsets, so that any sample is a single read (of
a local file, or a range of a URL); `webdataset.WebDataset` can stream the same tars. A truncated tar yields less data
without an error, so a shard's size is checked when it is opened.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

from racing_vpt.data.columns import Columns
from racing_vpt.data.cut import Sample
from racing_vpt.data.manifest import PACK_HINT, Place, Shard, read_manifest, wrong_crc32
from racing_vpt.data.remote import Remote, RemoteFiles, is_remote
from racing_vpt.data.store import Clip, StoredEpisode
from racing_vpt.files import (
    Draft,
    check_free,
    json_text,
    open_regular,
    publish_together,
    read_json,
    refuse_link_out,
    sha256_of,
)
from racing_vpt.known_files import identity_of, known_sha256, remember, settle
from racing_vpt.video.decode import Decoder, open_video
from racing_vpt.video.decoders import Video

OPEN_SHARDS = 16  # in each process
SHARD = re.compile(r"(train|val)-\d{6,}\.tar")  # names of shards


class ShardWriter:
    """Writes a shard under a temporary name; `close` publishes it together with its entry for the manifest.

    Args:
        path: the tar's final name.
        split: `train` or `val`.
        plan: fingerprint of recordings and options, stored in the entry, by which a later run continues.
    """

    def __init__(self, path: Path, split: str, plan: str) -> None:
        self.path, self.split, self.plan = path, split, plan
        check_free(path)
        check_free(entry_of(path))
        import webdataset  # here, because it imports torch, which would slow down `pack --help`

        self._draft = Draft(path)
        self._tar = webdataset.TarWriter(str(self._draft.temporary), encoder=False, mtime=0)
        self._about: dict[str, dict] = {}
        self.num_bytes = 0

    def add(self, sample: Sample) -> None:
        """Append a sample."""
        self._tar.write({"__key__": sample.key, "json": sample.json, "mp4": sample.mp4})
        about = json.loads(sample.json)
        known = {name: about[name] for name in ("episode", "start", "frames")}
        self._about[sample.key] = {**known, "json_crc32": crc32(sample.json), "mp4_crc32": crc32(sample.mp4)}
        self.num_bytes += 2048 + len(sample.json) + len(sample.mp4)

    def close(self) -> None:
        """Publish the tar together with its entry; FileExistsError where something has one of these names."""
        self._tar.close()
        places = []
        with tarfile.open(self._draft.temporary) as tar:
            members = {member.name: member for member in tar}
        for key, about in self._about.items():
            text, video = members[f"{key}.json"], members[f"{key}.mp4"]
            places.append(Place(key, text.offset_data, text.size, video.offset_data, video.size, **about))
        temporary = self._draft.temporary
        shard = Shard(self.path.name, self.split, temporary.stat().st_size, sha256_of(temporary), places)
        entry = Draft(entry_of(self.path))
        try:
            entry.temporary.write_text(json_text({"plan": self.plan, **shard.to_json()}))
            publish_together([self._draft, entry])
            settle(self.path)
            remember(identity_of(self.path), "sha256", shard.sha256)
        finally:
            entry.discard()
            self._draft.discard()

    def abort(self) -> None:
        """Remove the unfinished shard."""
        self._tar.close()
        self._draft.discard()


def entry_of(path: Path) -> Path:
    """Path of a finished shard's entry, until the manifest is written."""
    return path.with_suffix(".entry.json")


def tidy(out: Path, manifest: Mapping[str, Any]) -> None:
    """Remove files that only an unfinished run needs: the entries of the shards that the manifest lists."""
    for shard in manifest["shards"]:
        entry = entry_of(out / shard["file"])
        if entry.is_file() and read_json(entry).get("plan") == manifest["plan"]:
            entry.unlink()


class ShardStore:
    """The episodes of one split of a folder or URL of shards (`store.Store`).

    Args:
        path: folder or URL that holds `manifest.json`.
        split: `train` or `val`.
        decoder: decoding library.
        remote: options for a URL.
    """

    def __init__(self, path: str, split: str, decoder: Decoder = "auto", remote: Remote | None = None) -> None:
        self._files: OrderedDict[int, int] = OrderedDict()  # open descriptors by shard, the one used last at the end
        self._remote = RemoteFiles(remote) if is_remote(path) else None
        manifest = read_manifest(path, self._remote)
        if split not in manifest["splits"]:
            raise ValueError(
                f"{path} has no split {split!r}, only {sorted(manifest['splits'])}; pack with --val_fraction above 0 "
                "and below 1, or name other shards"
            )
        self.path, self.decoder = path.rstrip("/"), decoder
        self.manifest = manifest
        self.shards = [Shard.of_json(entry) for entry in manifest["shards"] if entry["split"] == split]
        if self._remote is None:
            for shard in self.shards:
                self._check(Path(self.path) / shard.file, shard)
        self._places: list[tuple[int, Place]] = []
        clips: dict[str, list[Clip]] = {}
        for number, shard in enumerate(self.shards):
            for place in shard.samples:
                clips.setdefault(place.episode, []).append(Clip(place.start, place.frames, len(self._places)))
                self._places.append((number, place))
        rates = manifest["episode_rates"]
        about = manifest["episodes"]
        laps = {name for name in clips if isinstance(about.get(name), dict) and about[name].get("lap_finished") is True}
        self.episodes = [StoredEpisode(name, rates[name], tuple(clips[name]), name in laps) for name in clips]
        for episode in self.episodes:
            episode.check(self.path)

    def columns(self, clip: Clip) -> Columns:
        """Columns of a clip; ValueError names shard and key if it is damaged."""
        number, place = self._places[clip.handle]
        try:
            columns = Columns.of_json(self.about(clip))
            columns.check(place.frames)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(self._damaged(number, place, error)) from error
        return columns

    def about(self, clip: Clip) -> dict:
        """The JSON of a clip; ValueError names shard and key if it is damaged."""
        number, place = self._places[clip.handle]
        text = self._read(number, place, place.json_offset, place.json_size, place.json_crc32)
        try:
            about = json.loads(text)
            if not isinstance(about, dict):
                raise ValueError(f"a JSON object was expected, not a {type(about).__name__}")
        except (ValueError, RecursionError) as error:
            raise ValueError(self._damaged(number, place, error)) from error
        return about

    def encoded(self, clip: Clip) -> bytes:
        """The mp4 of a clip."""
        number, place = self._places[clip.handle]
        return self._read(number, place, place.mp4_offset, place.mp4_size, place.mp4_crc32)

    def open(self, clip: Clip) -> tuple[Video, int]:
        """A clip's video, open for reading, and the index of the clip's first frame in it."""
        number, place = self._places[clip.handle]
        try:
            video = open_video(self.encoded(clip), self.decoder)
        except ValueError as error:
            raise ValueError(self._damaged(number, place, error)) from error
        if video.num_frames != clip.frames:
            raise ValueError(self._damaged(number, place, f"{video.num_frames} frames instead of {clip.frames}"))
        return video, 0

    def _damaged(self, number: int, place: Place, why: object) -> str:
        file = f"{self.path}/{self.shards[number].file}"
        return f"{file}, sample {place.key}: {why}; check the shards with: racing-vpt verify {self.path}"

    def _read(self, number: int, place: Place, offset: int, size: int, crc: int | None) -> bytes:
        address = f"{self.path}/{self.shards[number].file}"
        check = wrong_crc32(crc, f"sample {place.key}")
        if self._remote is not None:
            return self._remote.read(address, offset, size, check)
        data = os.pread(self._descriptor(number), size, offset)  # no file position, so forked workers may share it
        fault = check(data) if len(data) == size else f"{len(data)} bytes instead of {size}"
        if fault:
            raise ValueError(self._damaged(number, place, fault))
        return data

    @staticmethod
    def _check(path: Path, shard: Shard) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"the manifest names {path}, which does not exist; {PACK_HINT}")
        refuse_link_out(path, path.parent)
        size = path.stat().st_size
        if size != shard.bytes:
            raise ValueError(f"{path} has {size} bytes, but the manifest says {shard.bytes}; pack it again")
        with open_regular(path) as file:
            file.seek(shard.end)
            if any(file.read()):
                raise ValueError(f"{path} holds something else than the manifest lists; it is not read")

    def _descriptor(self, number: int) -> int:
        """A shard, open for reading; its content is checked the first time that this user opens it."""
        if number not in self._files:
            shard, path = self.shards[number], Path(self.path) / self.shards[number].file
            if known_sha256(path) != shard.sha256:
                raise ValueError(
                    f"{path}: its sha256 is not that of the manifest; see which shards are damaged with: "
                    f"racing-vpt verify {self.path}"
                )
            with open_regular(path) as file:
                self._files[number] = os.dup(file.fileno())
            if len(self._files) > OPEN_SHARDS:
                os.close(self._files.popitem(last=False)[1])
        self._files.move_to_end(number)
        return self._files[number]

    def close(self) -> None:
        """Close all shards; they are opened again when they are read."""
        while self._files:
            os.close(self._files.popitem()[1])

    def __del__(self) -> None:
        self.close()

    def __getstate__(self) -> dict:
        return {**vars(self), "_files": OrderedDict()}
