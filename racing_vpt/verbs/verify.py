"""Check data: recompute what the meta files and manifests promise."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from racing_vpt.data.manifest import Shard
    from racing_vpt.games.game import Game


MOST_UNREACHABLE = 2  # shards that a server does not give, before the others are not asked for


def verify(path: str, *, game: str | None = None, idm: str | None = None) -> None:
    """Check recordings, labels, shards or checkpoints: counts, bytes, sha256, that lines parse and match frames.

    With --game also that their controls are those of the game, within its limits. With --idm also whether the controls
    of recordings are shifted in time against the picture: `--idm zoo:idm-carracing-video` prints by how many frames
    they lag or lead, for each recording and for all of them, or that it cannot tell.

    Args:
        path: folder of recordings, labels or shards, a single recording, or a checkpoint (run folder, file, zoo:NAME).
        game: name or YAML file of the game that all of it must be of.
        idm: inverse dynamics model of their game: run folder, file or zoo:NAME.

    Raises:
        ValueError: something is damaged, or of another game; every fault is printed.
    """
    from tqdm import tqdm

    from racing_vpt.data.overview import kind_of
    from racing_vpt.games.read import load_game

    asked = None if game is None else load_game(game)
    kind = "checkpoints" if _is_checkpoint(path) else kind_of(path)
    if idm is not None and kind != "recordings":
        raise ValueError(f"--idm tells whether the controls of recordings are shifted, but {path} holds {kind}")
    checks = {
        "shards": _check_shards,
        "labels": _check_labels,
        "recordings": _check_recordings,
        "checkpoints": _check_checkpoints,
    }[kind]
    faults, count = [], 0
    for name, problem in tqdm(checks(path, asked), desc=f"verify {kind}", unit="file"):
        count += 1
        if problem:
            faults.append(f"{name}: {problem}" if name not in problem else problem)
    for fault in faults:
        print(fault)
    if faults:
        more = f" and {len(faults) - 1} more, listed above" if len(faults) > 1 else ""
        wrong = "damaged" if asked is None else f"damaged or not of the game {asked.name}"
        raise ValueError(f"{len(faults)} of {count} {kind} in {path} are {wrong}: {faults[0]}{more}")
    if not count:
        raise FileNotFoundError(f"{path} holds no recordings, labels or shards; make some with: racing-vpt collect")
    print(f"{path}: {count} {kind} verified")
    if idm is not None:
        from racing_vpt.studies.shifted_controls import find_shifts

        for line in find_shifts(idm, Path(path)):
            print(line, flush=True)


def _is_checkpoint(path: str) -> bool:
    """Whether a path names weights: a run folder, a folder of ours, a file, `zoo:NAME`."""
    if path.startswith(("zoo:", "hf:")) or path.endswith((".ckpt", ".ckpt.previous", ".safetensors", ".model")):
        return True
    return (Path(path) / "checkpoints").is_dir() or (Path(path) / "model.safetensors").is_file()


def _check_checkpoints(path: str, game: Game | None) -> Iterator[tuple[str, str]]:
    """Name and fault (or nothing) of each checkpoint: checksums, fingerprint, finite numbers, and the game."""
    from racing_vpt.checkpoints.integrity import fault_of, non_finite
    from racing_vpt.checkpoints.load import read_checkpoint

    folder = Path(path) / "checkpoints" if (Path(path) / "checkpoints").is_dir() else Path(path)
    files = sorted([*folder.glob("*.ckpt"), *folder.glob("*.ckpt.previous")]) if folder.is_dir() else [folder]
    files = [file for file in files if ".ckpt" in file.suffixes]
    for file in files:
        fault = fault_of(file) if file.is_file() else f"{file} does not exist"
        yield str(file), fault or (_other_game(read_checkpoint(file).init_args, game, str(file)) if game else "")
    if files:
        return
    try:
        checkpoint = read_checkpoint(path)
        if game and (fault := _other_game(checkpoint.init_args, game, path)):
            yield path, fault
            return
        bad = list(non_finite({"state_dict": checkpoint.state_dict}))
        if checkpoint.not_covered:
            print(
                f"{path}: not covered by a checksum: {checkpoint.not_covered}; write it anew with: "
                "racing-vpt export-weights"
            )
        yield path, f"{', '.join(bad)} hold NaN or infinity" if bad else ""
    except (ValueError, OSError) as error:
        yield path, str(error)


def _other_game(init_args: Mapping, game: Game, name: str) -> str:
    """Why a checkpoint with these arguments is not one of a game, or nothing."""
    from racing_vpt.games.game import check_same_game
    from racing_vpt.games.read import as_game

    try:
        check_same_game(as_game(init_args.get("game", "carracing")), game, name)
    except ValueError as error:
        return str(error)
    return ""


def _check_recordings(path: str, game: Game | None) -> Iterator[tuple[str, str]]:
    """Name and fault (or nothing) of each recording."""
    from racing_vpt.data.columns import Columns
    from racing_vpt.data.game_check import misfit
    from racing_vpt.data.item_errors import reason
    from racing_vpt.data.recordings import find_recordings
    from racing_vpt.files import sha256_of
    from racing_vpt.video.encode import count_frames

    failed: dict[Path, Exception] = {}
    recordings = find_recordings(Path(path), failed)
    yield from ((str(file), reason(error)) for file, error in failed.items())
    for recording in recordings:
        problem = ""
        try:
            pictures = recording.video.is_dir()
            counted = len(list(recording.video.glob("*.png"))) if pictures else count_frames(recording.video)
            if "video_sha256" in recording.meta and sha256_of(recording.video) != recording.meta["video_sha256"]:
                problem = "its sha256 is not that of the meta file"
            elif counted != recording.num_frames:
                problem = f"it holds {counted} frames, but the meta file says {recording.num_frames}"
            elif recording.has_actions:
                columns = Columns.of_records(recording.records())
                problem = misfit(columns, game) if game else ""
        except Exception as error:  # whatever is wrong with one file is no reason to pass over the others
            problem = reason(error)
        yield str(recording.video), problem


def _check_labels(path: str, game: Game | None) -> Iterator[tuple[str, str]]:
    """Name and fault (or nothing) of each label file."""
    from racing_vpt.data.columns import Columns
    from racing_vpt.data.game_check import misfit
    from racing_vpt.data.item_errors import reason
    from racing_vpt.data.label_files import read_labels
    from racing_vpt.data.overview import label_metas

    failed: dict[Path, Exception] = {}
    for meta_file in label_metas(Path(path), failed):
        lines = meta_file.with_name(meta_file.name.removesuffix(".meta.json") + ".jsonl")
        problem = ""
        try:
            records, meta = read_labels(lines)
            missing = [name for name in ("video_sha256", "num_frames") if name not in meta]
            problem = f"its meta file lacks {missing}" if missing else ""
            if game and not problem:
                problem = misfit(Columns.of_records(records), game)
        except Exception as error:  # whatever is wrong with one file is no reason to pass over the others
            problem = reason(error)
        yield str(lines), problem
    yield from ((str(file), reason(error)) for file, error in failed.items())


def _check_shards(path: str, game: Game | None) -> Iterator[tuple[str, str]]:
    """Name and fault (or nothing) of each shard, and of the manifest's counts."""
    from racing_vpt.data.item_errors import reason
    from racing_vpt.data.manifest import Shard, read_manifest
    from racing_vpt.data.remote import AT_A_TERMINAL, RemoteFiles, is_remote
    from racing_vpt.files import open_regular, refuse_link_out

    files = RemoteFiles(AT_A_TERMINAL)
    manifest = read_manifest(path, files)
    shards = [Shard.of_json(entry) for entry in manifest["shards"]]
    unreachable = 0
    for shard in shards:
        address = f"{path.rstrip('/')}/{shard.file}"
        if unreachable == MOST_UNREACHABLE:
            yield address, f"it was not asked for, as {unreachable} others could not be read"
            continue
        try:
            if is_remote(path):
                content = files.read_whole(address, shard.bytes)
            else:
                refuse_link_out(Path(address), Path(path))
                with open_regular(Path(address)) as file:
                    content = file.read(shard.bytes + 1)
            yield address, _fault_of(content, shard, game)
        except Exception as error:  # whatever is wrong with one shard is no reason to pass over the others
            unreachable += isinstance(error, ConnectionError)
            yield address, f"it cannot be read: {reason(error)}"
    for split, promised in manifest["splits"].items():
        places = [place for shard in shards if shard.split == split for place in shard.samples]
        found = {
            "episodes": len({place.episode for place in places}),
            "samples": len(places),
            "frames": sum(place.frames for place in places),
        }
        yield f"{path} {split}", "" if found == promised else f"the shards list {found}, the manifest counts {promised}"


def _fault_of(content: bytes, shard: Shard, game: Game | None) -> str:
    """What is wrong with a shard's bytes, or nothing."""
    import hashlib
    import json

    from racing_vpt.data.columns import Columns
    from racing_vpt.data.game_check import misfit
    from racing_vpt.video.pyav_video import PyAVVideo

    if len(content) != shard.bytes:
        return f"it has {len(content)} bytes, but the manifest says {shard.bytes}"
    if hashlib.sha256(content).hexdigest() != shard.sha256:
        return "its sha256 is not that of the manifest"
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        names = {member.name for member in tar}
    if names != {f"{place.key}.{suffix}" for place in shard.samples for suffix in ("json", "mp4")}:
        return f"it holds {len(names)} files, not those of the {len(shard.samples)} samples in the manifest"
    for place in shard.samples:
        try:
            about = json.loads(content[place.json_offset : place.json_offset + place.json_size])
            video = PyAVVideo(content[place.mp4_offset : place.mp4_offset + place.mp4_size])
        except ValueError as error:
            return f"sample {place.key}: {error}"
        counts = {len(about["first"]), *(len(column) for column in about["controls"].values()), video.num_frames}
        if counts != {place.frames}:
            return f"sample {place.key} has {sorted(counts)} frames, but the manifest says {place.frames}"
        if game and (fault := misfit(Columns.of_json(about), game)):
            return f"sample {place.key}: {fault}"
    return ""
