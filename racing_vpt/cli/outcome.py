"""Summary of a finished training, and the command to type next."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from racing_vpt.seeds import SHORT_VALIDATION

DRIVE = "racing-vpt drive --checkpoint {run} --seeds {seeds} --video {run}/drive.mp4"
NEXT = {  # by class name of the model in lower case, as in run folders
    "idm": "racing-vpt predict --config label --ckpt_path {run} --data.videos VIDEOS --out LABELS",
    "vpt": DRIVE,
    "dqn": DRIVE,
    "controller": DRIVE,
    "iris": DRIVE,
    "vae": "racing-vpt fit --config mdn_rnn --model.vae {run}",
    "mdnrnn": "racing-vpt fit --config controller --model.memory {run}",
    "tokenizer": "racing-vpt fit --config iris/token_world --model.init_tokenizer {run}",
    "tokenworld": "racing-vpt play {run}",
}


def outcome(folder: Path, trainer: Trainer) -> str:
    """Two lines: the run folder with its best checkpoint, and the command that uses it.

    Args:
        folder: run folder, runs/MODEL/NAME.
        trainer: the trainer after `fit`.
    """
    lines = [f"{folder}: trained for {trainer.global_step:,} steps{_best(trainer)}"]
    following = NEXT.get(folder.parent.name)
    if following:
        lines.append(f"next: {following.format(run=folder, seeds=SHORT_VALIDATION)}")
    return "\n".join(lines)


def _best(trainer: Trainer) -> str:
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.monitor and callback.best_model_score is not None:
            path = Path(callback.best_model_path)
            return f"; best {callback.monitor} {callback.best_model_score.item():.4g}, {path.parent.name}/{path.name}"
    return ""
