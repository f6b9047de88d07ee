"""Writes the labels that an IDM predicts for videos, atomically to their own folder.

`NAME.jsonl` is written window by window under a temporary name, so that memory does not depend on the video's length;
it is published together with `NAME.meta.json`, which names the checkpoint (fingerprint) and the video (sha256).
"""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from tqdm import tqdm

from racing_vpt.callbacks.label_reliability import Reliability, effective_ranges
from racing_vpt.callbacks.label_tally import Tally
from racing_vpt.callbacks.unfinished_labels import Unfinished, WindowLabels, made_by
from racing_vpt.checkpoints.migrate import migrate_frames
from racing_vpt.data.item_errors import concerns_all, reason
from racing_vpt.data.label_files import not_replaceable, publish_labels
from racing_vpt.data.origin import origin_of
from racing_vpt.data.window_batches import PredictBatch
from racing_vpt.data.window_datamodule import WindowDataModule
from racing_vpt.data.windows import PredictWindow, size_of
from racing_vpt.files import Draft, read_json, remove_leftovers
from racing_vpt.known_files import known_sha256
from racing_vpt.models.idm import IDM
from racing_vpt.models.idm_metrics import confidence
from racing_vpt.models.idm_trust import expected_error
from racing_vpt.models.likeness import Prediction
from racing_vpt.outputs import check_no_inputs, sole_writer_of_each
from racing_vpt.types import frame_spec

log = logging.getLogger(__name__)
LONGEST_WAIT = timedelta(days=30)  # of a process whose videos are labelled, for the others


class WriteLabels(Callback):
    """Writes the labels of each video during `predict`, and skips videos that are labelled already.

    Args:
        out: folder for `NAME.jsonl` and `NAME.meta.json`; None: the data module's `out`.
        on_error: what to do with a video that cannot be read: `raise` stops, `skip` reports it and continues.
        checkpoint_name: name of the checkpoint in the meta files; None: the name it was loaded by.
        overwrite: allow a folder that holds the videos. Nothing but earlier labels is replaced there either.
        license: licence of the labels.
        author: who made them.
    """

    def __init__(
        self,
        out: Path | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        checkpoint_name: str | None = None,
        overwrite: bool = False,
        license: str | None = None,
        author: str | None = None,
    ) -> None:
        self.origin = origin_of("predict", license, author)
        self.out, self.on_error, self.checkpoint_name, self.overwrite = out, on_error, checkpoint_name, overwrite
        self.tally = Tally()
        self.reliability = Reliability()
        self.unfinished: dict[str, Unfinished] = {}
        self.held = ExitStack()  # holds the folders below that of the labels

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "predict":
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, IDM) or not isinstance(data, WindowDataModule):
            raise ValueError(
                f"labels are written by an IDM from videos, but the checkpoint holds a {type(pl_module).__name__}: "
                "give --ckpt_path of a run of configs/idm.yaml, or zoo:idm-carracing"
            )
        out = self.out or data.out
        if out is None:
            raise ValueError("labels need a folder to go to: give --out FOLDER")
        spec = pl_module.frames
        self.folder, self.reliability = Path(out), Reliability()
        self.tally = Tally(None if spec.every_frame else spec.frames_per_second, pl_module.context)
        if not self.overwrite:
            for name, video in data.found.items():
                check_no_inputs(self.lines_of(name).parent, [video], "videos")
        self.ranges = effective_ranges(pl_module.scheme.limits, pl_module.stops)
        self.made_by, self.game = made_by(pl_module), pl_module.game.name
        self.name = self.checkpoint_name or getattr(pl_module, "checkpoint_name", None) or self.made_by["checkpoint"]
        trainer.predict_loop.return_predictions = False  # or Lightning keeps them in memory until the end
        done = {name for name, path in data.found.items() if self.is_done(name, path)}
        refused = not_replaceable({name: self.lines_of(name) for name in data.found.keys() - done})
        if refused and self.on_error == "raise":
            raise FileExistsError(min(refused.values()))
        if trainer.is_global_zero:
            self.tally.failed |= refused
        data.skip |= done | refused.keys()
        self.tally.skipped = len(done)
        sizes = {name: size_of(path) for name, path in data.found.items() if name not in data.skip}
        mine = list(sizes)[trainer.global_rank :: trainer.world_size]
        self.sizes = {name: sizes[name] for name in mine}
        if trainer.is_global_zero:
            below = {self.lines_of(name).parent for name in sizes} - {self.folder}
            self.held.enter_context(sole_writer_of_each(below))  # another process may label into one of them alone
        self.remove_leftovers()

    def is_done(self, name: str, video: Path) -> bool:
        """Whether this checkpoint has labelled this video (same fingerprint, same sha256)."""
        meta_file = self.folder / f"{name}.meta.json"
        if not meta_file.is_file() or not self.lines_of(name).is_file():
            return False
        meta = read_json(meta_file)
        if meta.get("kind") != "labels":
            return False
        meta["frames"] = asdict(frame_spec(migrate_frames(meta.get("frames", {}))))
        same_maker = {key: meta.get(key) for key in self.made_by} == self.made_by
        return same_maker and meta.get("video_sha256") == known_sha256(video)

    def lines_of(self, name: str) -> Path:
        """Path of a video's labels."""
        return self.folder / f"{name}.jsonl"

    def remove_leftovers(self, own: bool = False) -> None:
        """Remove unfinished files of killed processes; with `own`, those of this one too."""
        for folder in {self.lines_of(name).parent for name in self.sizes}:
            if folder.is_dir():
                remove_leftovers(folder, own)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:  # with short videos a rank waits longer for the others than any training step takes
            self.patient = torch.distributed.new_group(timeout=LONGEST_WAIT, backend="gloo")
        self.started = time.monotonic()
        self.bar = tqdm(
            total=sum(self.sizes.values()), desc="labelling", unit="B", unit_scale=True, dynamic_ncols=True,
            disable=trainer.global_rank != 0 or not self.sizes,
        )  # fmt: skip

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Prediction,
        batch: PredictBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        assert isinstance(pl_module, IDM)
        probabilities, likeness = outputs
        labels = pl_module.labels(probabilities)
        errors = expected_error(pl_module.scheme, probabilities, labels, pl_module.stops)
        trust = confidence(probabilities).cpu()
        if likeness is not None:
            trust = trust * likeness.cpu().unsqueeze(1)
        labels, errors = ({name: values.cpu() for name, values in each.items()} for each in (labels, errors))
        for row, window in enumerate(batch.windows):
            try:
                if window.name in self.tally.failed:  # what is left of a video that was given up
                    continue
                if window.error is not None:
                    raise ValueError(window.error)
                said, off = ({name: values[row] for name, values in each.items()} for each in (labels, errors))
                alike = None if likeness is None else likeness[row].item()
                self.write(window, WindowLabels(said, trust[row], off, alike))
                if window.last:
                    self.finish(window)
            except Exception as error:  # such as a name that is too long
                if concerns_all(error):
                    raise
                self.give_up(window, reason(error))

    def write(self, window: PredictWindow, labels: WindowLabels) -> None:
        """Append the lines of a window."""
        if window.name not in self.unfinished:
            draft = Draft(self.lines_of(window.name))
            self.unfinished[window.name] = Unfinished(draft, draft.temporary.open("w"))
        video, rows = self.unfinished[window.name], window.source_rows
        video.append(window, labels)
        self.tally.frames += len(rows)
        progress = self.sizes.get(window.name, 0) * len(rows) / max(1, window.num_frames)
        self.bar.update(min(progress, (self.bar.total or 0) - self.bar.n))
        speed = self.tally.frames / max(1e-6, time.monotonic() - self.started)
        self.bar.set_postfix_str(f"{self.tally.frames} frames, {speed:.0f} frames/s", refresh=False)

    def finish(self, window: PredictWindow) -> None:
        """Publish the labels of a video after its last window."""
        video = self.unfinished[window.name]
        video.file.close()
        if video.frames != window.num_frames:
            raise RuntimeError(f"{window.video}: {video.frames} labels for {window.num_frames} frames")
        meta = {
            "kind": "labels",
            **self.made_by,
            "game": self.game,
            **self.origin,
            "checkpoint_name": self.name,
            "video": window.video.name,
            "video_sha256": window.sha256,
            "frames_per_second": window.frames_per_second,
            "num_frames": video.frames,
            **video.reliability.means(),
        }
        publish_labels(video.draft, meta)
        del self.unfinished[window.name]
        video.reliability.finish(window.name)
        self.reliability.add(video.reliability)
        self.tally.count(video.frames, window.frames_per_second, window.portrait)

    def give_up(self, window: PredictWindow, why: str) -> None:
        """Drop the labels of a video that cannot be read; raise unless such videos are skipped."""
        video = self.unfinished.pop(window.name, None)
        if video is not None:
            self.tally.frames -= video.frames
            video.discard()
        self.tally.failed[window.name] = why
        named = "" if why.startswith(str(window.video)) else f"{window.video}: "
        if self.on_error == "raise":
            raise ValueError(f"{named}{why}; to skip such videos: --on_error skip")
        tqdm.write(f"skipped {named}{why}")

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.bar.close()
        self.held.close()
        told: list[tuple[Tally, Reliability] | None] = [(self.tally, self.reliability)]
        if trainer.world_size > 1:
            told = [None] * trainer.world_size
            torch.distributed.all_gather_object(told, (self.tally, self.reliability), self.patient)
        total = replace(self.tally, done=0, frames=0, resampled=0, short=0, portrait=0, failed={})
        reliability = Reliability(self.ranges)
        for tally, found in filter(None, told):
            total.add(tally)
            reliability.add(found)
        self.tally, self.reliability = total, reliability
        if trainer.is_global_zero:
            print(*total.lines(self.folder, time.monotonic() - self.started), reliability.sentence(), sep="\n")
        if total.failed and not (total.done or total.skipped):
            raise ValueError(f"none of the {len(total.failed)} videos could be labelled")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        for video in self.unfinished.values():
            video.discard()
        self.unfinished.clear()
        self.held.close()
        if hasattr(self, "sizes"):
            self.remove_leftovers(own=True)  # a signal may have come before the draft was recorded
