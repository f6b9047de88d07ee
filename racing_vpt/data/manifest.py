"""`manifest.json` of a folder of shards: their samples, offsets, sizes and checksums.

It may come from an untrusted source, so every field is checked: names must not leave the folder, samples must fill
their shard without gaps, numbers must be numbers.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from zlib import crc32

from racing_vpt.data.remote import Check, RemoteFiles, is_remote
from racing_vpt.files import open_regular, plain_name, write_json

FORMAT = 1
MANIFEST = "manifest.json"
PACK_HINT = "make shards with: racing-vpt pack --recordings FOLDER --out FOLDER"
BLOCK = 512  # bytes, of a tar
LONGEST_NAME = 90  # characters that fit a tar header with a suffix; a longer name needs extra headers
LARGEST_MANIFEST = 1 << 28  # bytes; a million samples have about 1 << 27
LARGEST_MEMBER = 1 << 30  # bytes of a clip's video or columns


@dataclass(frozen=True)
class Place:
    """Position of a sample in its shard: offsets, sizes (bytes) and checksums of its two members."""

    key: str
    json_offset: int
    json_size: int
    mp4_offset: int
    mp4_size: int
    episode: str
    start: int
    frames: int
    json_crc32: int | None = None  # None in shards packed before there were checksums
    mp4_crc32: int | None = None

    def __post_init__(self) -> None:
        numbers = (self.json_offset, self.json_size, self.mp4_offset, self.mp4_size, self.start, self.frames)
        if not all(type(number) is int and 0 <= number < 2**53 for number in numbers) or not self.frames:
            raise ValueError(f"offsets, sizes, start and frames should be non-negative integers, but are {numbers}")
        if self.json_size > LARGEST_MEMBER or self.mp4_size > LARGEST_MEMBER:
            raise ValueError(f"sample {self.key} has more than {LARGEST_MEMBER} bytes, which no clip has")
        if not isinstance(self.key, str) or not isinstance(self.episode, str) or "/" in self.key:
            raise ValueError(f"key and episode should be plain names, but are {self.key!r} and {self.episode!r}")


@dataclass(frozen=True)
class Shard:
    """Entry of a tar in the manifest."""

    file: str
    split: str
    bytes: int
    sha256: str
    samples: list[Place]

    @classmethod
    def of_json(cls, value: dict) -> Shard:
        """The inverse of `to_json`; ValueError if fields are missing or invalid."""
        try:
            shard = cls(**{**value, "samples": [Place(*row) for row in value["samples"]]})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"a shard's entry in the manifest is incomplete: {error}") from error
        shard.check()
        return shard

    def to_json(self) -> dict[str, object]:
        """Plain values; a sample is a list in the order of `Place`'s fields."""
        return {**asdict(self), "samples": [list(vars(place).values()) for place in self.samples]}

    def check(self) -> None:
        """Raise ValueError unless the name is plain and the samples fill the tar, so that every member is listed."""
        if not plain_name(self.file, ".tar"):
            raise ValueError(f"a shard should be a .tar beside its manifest, but the manifest names {self.file!r}")
        if type(self.bytes) is not int or self.bytes < 0 or not isinstance(self.split, str):
            raise ValueError(f"{self.file}: bytes {self.bytes!r} and split {self.split!r} should be a count and a name")
        spans = self._spans()
        end, before = 0, min((offset for offset, _, _ in spans), default=BLOCK)
        for offset, size, key in spans:  # one header each, or three: webdataset stores fractions of seconds
            headers = {BLOCK, min(before, 3 * BLOCK)}
            if offset - end not in headers and not BLOCK <= offset - end <= 8 * BLOCK * (len(key) > LONGEST_NAME):
                raise ValueError(f"{self.file}: sample {key} starts at {offset}, but the one before it ends at {end}")
            end = offset + -(-size // BLOCK) * BLOCK
        if not end <= self.bytes <= end + 40 * BLOCK:
            raise ValueError(
                f"{self.file}: its samples end at {end}, but it has {self.bytes} bytes: it holds something unlisted"
            )

    @property
    def end(self) -> int:
        """End of the last sample; the rest of a tar is zeros."""
        return max((offset + -(-size // BLOCK) * BLOCK for offset, size, _ in self._spans()), default=0)

    def _spans(self) -> list[tuple[int, int, str]]:
        """Offset, size and key of each member, in order."""
        spans = [(place.json_offset, place.json_size, place.key) for place in self.samples]
        return sorted(spans + [(place.mp4_offset, place.mp4_size, place.key) for place in self.samples])


def wrong_crc32(expected: int | None, what: str) -> Check:
    """A check of bytes (`remote.Check`) for their checksum."""

    def check(data: bytes) -> str | None:
        found = crc32(data)
        return None if expected is None or found == expected else f"the checksum of {what} is {found}, not {expected}"

    return check


def write_manifest(out: Path, shards: list[Shard], about: dict[str, object]) -> dict:
    """Write the manifest, after all shards; returns it. `about` describes how the shards were made."""
    splits = {split: count(shards, split) for split in sorted({shard.split for shard in shards})}
    entries = [shard.to_json() for shard in shards]
    manifest = {"format": FORMAT, "kind": "shards", **about, "splits": splits, "shards": entries}
    write_json(out / MANIFEST, manifest)
    return manifest


def count(shards: list[Shard], split: str) -> dict[str, int]:
    """Numbers of episodes, samples and frames of a split."""
    places = [place for shard in shards if shard.split == split for place in shard.samples]
    episodes = {place.episode for place in places}
    return {"episodes": len(episodes), "samples": len(places), "frames": sum(place.frames for place in places)}


def read_manifest(path: str, files: RemoteFiles | None = None) -> dict:
    """Read and check the manifest of a folder or URL of shards.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not a manifest, of another format, or damaged.
        ConnectionError: the server does not answer.
    """
    address = f"{path.rstrip('/')}/{MANIFEST}"
    try:
        if is_remote(path):
            content = (files or RemoteFiles()).read(address)
        else:
            if Path(address).stat().st_size > LARGEST_MANIFEST:
                size = Path(address).stat().st_size
                raise ValueError(f"{address} has {size} bytes; a manifest has up to {LARGEST_MANIFEST}")
            with open_regular(Path(address)) as file:
                content = file.read(LARGEST_MANIFEST + 1)
        manifest = json.loads(content)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"there is no {address}; {PACK_HINT}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{address} is not JSON: {error}; {PACK_HINT}") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != "shards" or manifest.get("format") != FORMAT:
        raise ValueError(f"{address} is not a manifest of shards of format {FORMAT}; {PACK_HINT}")
    fault = _fault(manifest)
    if fault:
        raise ValueError(f"{address} is damaged: {fault}; check the shards with: racing-vpt verify {path}")
    return manifest


def _fault(manifest: dict) -> str:
    """Description of a manifest's fault; empty if it is valid."""
    kinds = {"splits": dict, "shards": list, "episode_rates": dict, "episodes": dict, "actions_from": list}
    for name, kind in kinds.items():
        if not isinstance(manifest.get(name), kind):
            return f"its field {name} should be a {kind.__name__}"
    for episode, rate in manifest["episode_rates"].items():
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1000:  # false for NaN too
            return f"episode {episode} has {rate!r} frames per second"
    try:
        shards = [Shard.of_json(entry) for entry in manifest["shards"]]
    except (ValueError, TypeError) as error:
        return str(error)
    if {shard.split for shard in shards} != manifest["splits"].keys():
        return (
            f"its shards are of the splits {sorted({shard.split for shard in shards})}, not {list(manifest['splits'])}"
        )
    for split, promised in manifest["splits"].items():
        if count(shards, split) != promised:
            return f"its shards of split {split} list {count(shards, split)}, but it counts {promised}"
    strangers = {place.episode for shard in shards for place in shard.samples} - manifest["episode_rates"].keys()
    return f"it has no rate of episode {min(strangers)}" if strangers else ""
