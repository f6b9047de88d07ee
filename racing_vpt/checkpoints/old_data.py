"""Data modules as version 0.1.0 had them: their class paths and arguments, and what became of each."""

from __future__ import annotations

from racing_vpt.checkpoints.argument_changes import Arguments, Change, into, removed, unless_none
from racing_vpt.checkpoints.old_models import SCHEMES


def null_frames_of_game(arguments: Arguments) -> None:
    """0.1.0 named the control scheme whose null frames are dropped; now a game, with its scheme if necessary."""
    if arguments.get("drop_null") in SCHEMES:  # as in 0.1.0; now within `controls`
        arguments["drop_null"] = SCHEMES[arguments["drop_null"]]


CLASSES: dict[str, str] = {  # old class path: current one
    "racing_vpt.data.replay_datamodule.ReplayDataModule": "racing_vpt.replay.datamodule.ReplayDataModule",
    "racing_vpt.data.stretch_datamodule.StretchDataModule": "racing_vpt.replay.segment_datamodule.SegmentDataModule",
    "racing_vpt.data.datamodule.VideoDataModule": "racing_vpt.data.clip_datamodule.ClipDataModule",
}
READING = (unless_none("remote"), *into("reading", "frames", "decoder", "cache_gib", "codes", "remote"))
DATA_MODULES: dict[str, tuple[Change, ...]] = {  # by current class name, in order of application
    "ClipDataModule": (
        *(removed(name) for name in ("videos", "out", "window", "window_stride", "predict_batch_size")),
        null_frames_of_game,
        *into("controls", "labels", "min_confidence", "confidence_weighting", "perturbed", "drop_null"),
        *into("controls", mean_controls="mean"),
        *into("loading", "num_workers", "device", "seed", "val_fraction"),
        *READING,
    ),
    "ReplayDataModule": (
        removed("stretch", None),
        unless_none("remote"),
        *into("priorities", "beta", prioritised="alpha"),
        *into("teaching", "demonstrations", "teacher", "decoder", "remote", demonstration_share="share"),
    ),
    "SegmentDataModule": (
        *into("collecting", "env", "warm_up", collect="decisions", collect_epochs="epochs"),
        *into("validation", val_rows="rows", val_frames="frames", val_steps="steps"),
        *READING,
    ),
}  # fmt: skip
