"""What a manifest says of how its shards were made, and of whom its episodes come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace

from racing_vpt.data.cut import ClipFormat, output_rate
from racing_vpt.data.manifest import Shard
from racing_vpt.data.origin import ORIGIN, carried, origin_of_all, origin_of_labels
from racing_vpt.data.pairing import PairedRecording


def about_shards(
    episodes: list[PairedRecording],
    shards: list[Shard],
    form: ClipFormat,
    seed: int,
    origin: Mapping[str, object],
) -> dict[str, object]:
    """The manifest's description of how the shards were made, without what was skipped.

    Args:
        episodes: all that were to be packed.
        shards: those that were written.
        form: size, rate and length of clips.
        seed: seed of the split.
        origin: who packs.
    """
    names = {place.episode for shard in shards for place in shard.samples}
    packed = [episode for episode in episodes if episode.name in names]
    origins = {json.dumps(episode.actions_from, sort_keys=True): episode.actions_from for episode in packed}
    kept = ("environment", "seed", "agent", "lap_finished", *ORIGIN)
    about = {
        episode.name: {
            "video_sha256": episode.recording.sha256,
            "actions_from": episode.actions_from,
            **{name: episode.recording.meta[name] for name in kept if name in episode.recording.meta},
            **({"labels": origin_of_labels(episode.labels)} if episode.labels else {}),
            **_of_part(episode),
        }
        for episode in packed
    }
    return {
        **origin_of_all(about.values()),
        "made_with": origin.get("made_with"),
        "clip_format": {**asdict(form), "decoder": None},
        "split_seed": seed,
        "actions_from": list(origins.values()),
        "episode_rates": {episode.name: output_rate(episode, form) for episode in packed},
        "episodes": about,
    }


def _of_part(episode: PairedRecording) -> dict[str, object]:
    """What an episode's entry says where it is a part of a recording; only the last part ends as the drive did."""
    if episode.span is None:
        return {}
    ended = {} if episode.span[1] == episode.recording.num_frames else {"lap_finished": False}
    return {"part_of": episode.part_of, "frames": list(episode.span), **ended}


def with_origin(episode: PairedRecording, origin: Mapping[str, object]) -> PairedRecording:
    """The episode with the licence and author that are given for recordings which state none."""
    stated = {name: value for name, value in origin.items() if value is not None and name != "made_with"}
    if not stated:
        return episode
    recording = episode.recording
    return replace(episode, recording=replace(recording, meta={**recording.meta, **carried(recording.meta, stated)}))
