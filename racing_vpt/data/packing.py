"""Packing of recordings into shards, piece by piece; an interrupted run can be continued."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from racing_vpt.data.cut import ClipFormat, Piece, Sample, cut, pieces_of
from racing_vpt.data.excluded import described, read_stretches, without
from racing_vpt.data.game_check import misfit
from racing_vpt.data.item_errors import concerns_all, reason
from racing_vpt.data.manifest import MANIFEST, Shard, read_manifest, write_manifest
from racing_vpt.data.packed_about import about_shards, with_origin
from racing_vpt.data.pairing import PairedRecording, pair_recordings, split_episodes
from racing_vpt.data.shards import SHARD, ShardWriter, entry_of, tidy
from racing_vpt.files import read_json, sha256_of
from racing_vpt.games.game import Game
from racing_vpt.outputs import check_no_inputs, sole_writer
from racing_vpt.processes import Pool

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Packing:
    """Options of packing.

    Args:
        labels: folder of labels, which replace recorded controls; only videos that are labelled there are packed.
        val_fraction: fraction of the episodes in the split `val`.
        shard_mib: size in MiB above which a shard is closed.
        seed: seed of the split.
        workers: number of processes.
        on_error: what to do with a recording that cannot be read, or is not one of `game`.
        game: game whose controls all recordings must have; None: no check.
        exclude: file of stretches to leave out (`data/excluded.py`).
        origin: who packs, and the licence and author of recordings that state none.
    """

    labels: Path | None = None
    val_fraction: float = 0.1
    shard_mib: float = 64.0
    seed: int = 0
    workers: int = 1
    on_error: Literal["raise", "skip"] = "raise"
    game: Game | None = None
    exclude: Path | None = None
    origin: Mapping[str, object] = field(default_factory=dict)


def pack_recordings(recordings: Path, out: Path, form: ClipFormat, how: Packing = Packing()) -> dict:
    """Pack recordings into shards; returns the manifest.

    Args:
        recordings: folder of recordings, or of any videos.
        out: folder for the shards.
        form: size, rate and length of clips.
        how: options.

    Raises:
        ValueError: `out` holds other shards or the inputs, or no recording could be packed.
        FileNotFoundError: there are no recordings, or none of the labels belongs to one.
    """
    failed: dict[Path, Exception] | None = {} if how.on_error == "skip" else None
    stretches = read_stretches(how.exclude) if how.exclude else []
    whole = [with_origin(each, how.origin) for each in pair_recordings(recordings, how.labels, failed)]
    episodes, gone = without(whole, stretches, how.exclude) if how.exclude else (whole, {})
    if not episodes:
        raise ValueError(f"{how.exclude} leaves out every frame of the {len(whole)} recordings in {recordings}")
    splits = split_episodes([episode.drive for episode in episodes], how.val_fraction, how.seed)
    pieces, skipped = _plan(episodes, form, how)
    skipped |= gone | {path.relative_to(recordings).as_posix(): reason(error) for path, error in (failed or {}).items()}
    stated = [str(how.origin[name]) for name in ("license", "author") if how.origin.get(name)]
    plan = _fingerprint(episodes, form, how.seed, how.val_fraction, how.shard_mib, *stated)
    check_no_inputs(out, (episode.recording.video for episode in episodes), "recordings")
    check_no_inputs(out, (episode.labels for episode in episodes if episode.labels), "labels")
    with sole_writer(out):
        if (out / MANIFEST).is_file():
            manifest = read_manifest(str(out))
            if manifest.get("plan") != plan:
                raise ValueError(f"{out} already holds other shards; remove them or pack into another folder")
            log.info("%s holds these shards already", out)
        else:
            by_split = sorted(zip(splits, episodes, strict=True), key=lambda pair: pair[0])
            todo = [(split, piece) for split, episode in by_split for piece in pieces.get(episode.name, [])]
            shards = _write_shards(out, plan, todo, form, how, skipped)
            if not shards:
                raise ValueError(f"none of the {len(episodes)} recordings in {recordings} could be packed: {skipped}")
            about = about_shards(episodes, shards, form, how.seed, how.origin) | {"skipped": skipped}
            about |= {"excluded": described(stretches)} if stretches else {}
            manifest = write_manifest(out, shards, {"plan": plan, **about})
            splits = [f"{name} {', '.join(f'{n} {of}' for of, n in held.items())}"
                      for name, held in manifest["splits"].items()]  # fmt: skip
            left_out = f"; skipped {', '.join(f'{name} ({why})' for name, why in skipped.items())}" if skipped else ""
            log.info("%s: %d shards; %s%s", out, len(shards), "; ".join(splits), left_out)
        tidy(out, manifest)
    return manifest


def _write_shards(
    out: Path, plan: str, todo: list[tuple[str, Piece]], form: ClipFormat, how: Packing, skipped: dict[str, str]
) -> list[Shard]:
    """Write missing shards and return all of them; adds unreadable recordings and the reasons to `skipped`."""
    shards = _finished(out, plan)
    done = {place.key for shard in shards for place in shard.samples}
    counts = Counter(shard.split for shard in shards)
    writer: ShardWriter | None = None
    try:
        cuts = _cut_all(todo, form, done, how.workers)
        for split, piece, samples in tqdm(cuts, total=len(todo), unit="piece", desc=f"pack {out.name}"):
            if piece.episode.name in skipped:  # the remaining pieces of an episode with an error
                continue
            if isinstance(samples, Exception):
                if how.on_error == "raise" or concerns_all(samples):
                    raise samples
                skipped[piece.episode.name] = reason(samples)
                continue
            if writer is not None and writer.split != split:
                writer.close()
                writer = None
            for sample in samples:
                if sample.key in done:
                    continue
                if writer is None:
                    writer = ShardWriter(out / f"{split}-{counts[split]:06d}.tar", split, plan)
                    counts[split] += 1
                writer.add(sample)
                if writer.num_bytes > how.shard_mib * 2**20:
                    writer.close()
                    writer = None
        if writer is not None:
            writer.close()
    except BaseException:
        if writer is not None:
            writer.abort()
        raise
    return _finished(out, plan)


def _plan(
    episodes: list[PairedRecording], form: ClipFormat, how: Packing
) -> tuple[dict[str, list[Piece]], dict[str, str]]:
    """Pieces by episode, and the reasons for episodes that are not packed."""
    pieces, skipped = {}, {}
    for episode in episodes:
        try:
            found = pieces_of(episode, form)
            if how.game and (fault := misfit(episode.columns(), how.game)):
                raise ValueError(f"{episode.recording.video} cannot be packed with --game {how.game.name}: {fault}")
            pieces[episode.name] = found
        except Exception as error:  # whatever is wrong with one recording is no reason to pass over the others
            if how.on_error == "raise" or concerns_all(error):
                raise
            skipped[episode.name] = reason(error)
    return pieces, skipped


Cut = tuple[str, Piece, list[Sample] | Exception]


def _cut_all(todo: list[tuple[str, Piece]], form: ClipFormat, done: set[str], workers: int) -> Iterator[Cut]:
    """Each piece with its split and clips, in order, cutting a few ahead. Finished pieces have no clips."""

    def is_done(piece: Piece) -> bool:
        starts = range(piece.start, piece.stop, form.clip_frames)
        return all(f"{piece.episode.name}-{start:07d}" in done for start in starts)

    with Pool(partial(_try_cut, form=form), workers) as pool:
        cuts = pool.in_order([piece for _, piece in todo if not is_done(piece)], deadly=lambda error: error)
        for split, piece in todo:
            yield split, piece, [] if is_done(piece) else next(cuts)


def _try_cut(piece: Piece, form: ClipFormat) -> list[Sample] | Exception:
    try:
        return cut(piece, form)
    except Exception as error:
        # libraries have kinds of their own, which need not survive being pickled
        return error if type(error).__module__ == "builtins" else ValueError(reason(error))


def _fingerprint(episodes: list[PairedRecording], form: ClipFormat, *options: float | str) -> str:
    """Hash of the recordings and options; equal for a continued run."""
    inputs = []
    for episode in episodes:
        lines = episode.labels or episode.recording.lines
        controls = None if lines is None else sha256_of(lines)
        part = [episode.span] if episode.span else []
        inputs.append([episode.name, episode.recording.sha256, episode.actions_from, controls, *part])
    how = {**asdict(form), "decoder": None}
    if form.resize == "area":  # the only value of earlier versions, whose shards keep their fingerprint
        del how["resize"]
    described = json.dumps([inputs, how, options])
    return hashlib.sha256(described.encode()).hexdigest()


def _finished(out: Path, plan: str) -> list[Shard]:
    """Shards finished by an earlier run of the same plan; ValueError if there are others."""
    shards = []
    for path in sorted(path for path in out.iterdir() if SHARD.fullmatch(path.name)):
        entry = read_json(entry_of(path)) if entry_of(path).is_file() else {}
        if entry.pop("plan", None) != plan:
            whose = "of a run with other recordings or options, which did not finish" if entry else "not of this run"
            raise ValueError(
                f"{path} is {whose}; it is not replaced: pack into another folder, or remove it if it is not wanted"
            )
        shards.append(Shard.of_json(entry))
    return shards
