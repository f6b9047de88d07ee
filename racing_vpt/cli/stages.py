"""fit, validate, test and predict: LightningCLI with any of our models and data modules, and one run folder.

Differences from LightningCLI, each deliberate:
- `data:` without a class_path is a `WindowDataModule` for `predict` and a `ClipDataModule` for the others;
- all files of a run are in one folder: `runs/idm/NAME`, `runs/vpt/NAME` for `fit`, `runs/STAGE/NAME` for the others;
- `fit --ckpt_path` only resumes (`last` or a training checkpoint), and refuses a checkpoint of another configuration,
  where Lightning lets the checkpoint's hyperparameters win silently;
- the other stages take any name of a checkpoint and build the model that it holds, so that `--model` is not needed;
- YAML can name classes of racing_vpt, lightning and torch only.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from pathlib import Path
from typing import Literal

import torch
from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from racing_vpt.callbacks.follow_load import FollowLoad
from racing_vpt.cli.guard import guard
from racing_vpt.cli.held import held_output
from racing_vpt.cli.hub_names import pin_options
from racing_vpt.cli.outcome import outcome
from racing_vpt.cli.parse_errors import ParseError
from racing_vpt.cli.run_config import SaveConfig
from racing_vpt.cli.runs import (
    allow_imports,
    check_same_model,
    check_unused,
    checkpoint_to_resume,
    know_models,
    loggers_into,
    settle_game,
    short_name,
)
from racing_vpt.cli.words import with_nulls
from racing_vpt.data.clip_datamodule import ClipDataModule
from racing_vpt.data.window_datamodule import WindowDataModule
from racing_vpt.files import write_json
from racing_vpt.free_cores import chose_threads
from racing_vpt.games.game import check_same_game
from racing_vpt.games.read import load_game


def run_stage(stage: str, words: list[str]) -> int:
    """Run one of Lightning's stages with the options `words`; returns the exit status."""
    words = allow_imports(words)
    know_models(words)
    torch.set_flush_denormal(True)  # denormal gradients make a CPU a hundred times slower
    for known in ("LeafSpec", "Checkpoint directory .* exists", "smaller than the logging interval"):
        warnings.filterwarnings("ignore", message=f".*{known}")
    lightning_log = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    lightning_log.addFilter(lambda record: "Tip:" not in record.getMessage())  # advertisements
    StageCLI(stage, words)
    return 0


def default_data(stage: str) -> str:
    """Class path of the default data module of a stage."""
    kind = WindowDataModule if stage == "predict" else ClipDataModule
    return f"{kind.__module__}.{kind.__qualname__}"


class StageCLI(LightningCLI):
    """The command line of one stage.

    Args:
        stage: fit, validate, test or predict.
        words: the options that follow it.
    """

    def __init__(self, stage: str, words: list[str]) -> None:
        self.stage = stage
        super().__init__(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=SaveConfig if stage == "fit" else None,
            save_config_kwargs={"save_to_log_dir": False},  # but atomically
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_kwargs={"prog": "racing-vpt", "exit_on_error": False, stage: {"exit_on_error": False}},
            args=[stage, *with_nulls(words)],
        )

    def __deepcopy__(self, memo: dict[int, object]) -> StageCLI:
        """Itself: a model, copied to average its weights, refers to it, and it to processes, which cannot be copied."""
        return self

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Only the requested stage, because building four parsers takes four times as long."""
        ours = {"ckpt_path", "weights_only", "return_predictions"}
        return {self.stage: LightningCLI.subcommands()[self.stage] | ours}

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """As LightningCLI, but only training requires a model; the other stages take it from the checkpoint."""
        parser.add_lightning_class_args(Trainer, "trainer")
        parser.add_lightning_class_args(LightningModule, "model", subclass_mode=True, required=self.stage == "fit")
        parser.add_lightning_class_args(LightningDataModule, "data", subclass_mode=True, required=False)
        parser.set_defaults({"data": {"class_path": default_data(self.stage)}})

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the checkpoint, the run folder, and the label folder of `predict`."""
        meaning = "Checkpoint: run folder, file, zoo:NAME, hf:OWNER/NAME[@REVISION] or OpenAI's F.model."
        if self.stage == "fit":
            meaning = "Training checkpoint of the same configuration to resume from: `last`, a file or a run folder."
        parser.add_argument("--ckpt_path", type=str | None, default=None, help=meaning)
        played = "Game: its name or YAML file; GAME:SCHEME for another of its control schemes"
        if self.stage == "fit":
            played = f"{played} (default: carracing)."
        else:
            played = f"{played}. The checkpoint has its own, which must be this one."
        parser.add_argument("--game", type=str | None, default=None, help=played)
        named = "Name of the run folder (default: `default`)."
        parser.add_argument("--name", type=str | None, default=None, help=named)
        parser.add_argument("--runs", type=Path, default=Path("runs"), help="Folder that holds the run folders.")
        if self.stage == "predict":
            parser.add_argument("--out", type=Path | None, default=None, help="Folder that receives the labels.")
            unread = "What to do with a video that cannot be read: stop, or report it and pass over it."
            parser.add_argument("--on_error", type=Literal["raise", "skip"], default="raise", help=unread)
            beside = "Let labels lie beside the videos. Even so they replace nothing but labels."
            parser.add_argument("--overwrite", type=bool, default=False, help=beside)
            stated = {"license": "Licence of the labels, such as CC-BY-4.0.", "author": "Who made the labels."}
            for name, meaning in stated.items():
                parser.add_argument(f"--{name}", type=str | None, default=None, help=meaning)

    def parse_arguments(self, parser: LightningArgumentParser, args: list[str]) -> None:  # type: ignore[override]
        """Parse; ParseError with one line if that fails."""
        try:
            self.config = parser.parse_args(args)
        except Exception as error:
            raise ParseError(error, self._subcommand_parsers[self.stage], self.stage, args[1:]) from error

    def _parse_ckpt_path(self) -> None:
        """Do nothing: LightningCLI would let the checkpoint's hyperparameters override the command line."""

    @property
    def options(self) -> Namespace:
        """Parsed options of the stage."""
        return self.config[self.stage]

    def before_instantiate_classes(self) -> None:
        """Determine the run folder and the checkpoint."""
        options = self.options
        pin_options(options, resumed=self.stage == "fit" and options.ckpt_path is not None)
        if self.stage != "fit":
            self.checkpoint = options.ckpt_path
            if self.checkpoint is None:
                raise ValueError(f"{self.stage} needs --ckpt_path: a run, a file, zoo:NAME, hf:OWNER/NAME or F.model")
            self.expected = options.model.class_path if options.get("model") else None
            options.model = options.ckpt_path = None
        else:
            settle_game(options.model, options.game)
        self.folder = self._run_folder()
        options.trainer.default_root_dir = str(self.folder)
        options.trainer.logger = loggers_into(self.folder, options.trainer.logger, training=self.stage == "fit")
        if self.stage == "predict" and options.trainer.enable_progress_bar is None:
            options.trainer.enable_progress_bar = False  # labels have one of their own
        self.resume: str | None = None
        if self.stage == "fit":
            self._check_run()

    def instantiate_trainer(self, **arguments: object) -> Trainer:
        """As LightningCLI, with guards for `fit`, a report for `test` and the writer of labels for `predict`."""
        trainer = super().instantiate_trainer(**arguments)
        if self.stage == "fit":
            given = self.options.trainer.callbacks or []
            guard(trainer, own_bar=any("ProgressBar" in callback.class_path for callback in given))
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        if chose_threads():
            callbacks.append(FollowLoad())
        if self.stage == "test":
            from racing_vpt.callbacks.idm_report import IdmReport

            callbacks.append(IdmReport())
        if self.stage == "predict":
            from racing_vpt.callbacks.labels import WriteLabels

            if not any(isinstance(callback, WriteLabels) for callback in callbacks):
                options = self.options
                origin = {"license": options.license, "author": options.author}
                callbacks.append(WriteLabels(options.out, options.on_error, overwrite=options.overwrite, **origin))
        return trainer

    def instantiate_classes(self) -> None:
        """As LightningCLI; outside `fit` the model is loaded from the checkpoint."""
        super().instantiate_classes()
        if self.stage != "fit":
            from racing_vpt.checkpoints.load import load_module

            self.model = load_module(self.checkpoint, expected=self.expected)
            if self.options.game is not None:
                check_same_game(self.model.game, load_game(self.options.game), self.checkpoint)  # type: ignore[arg-type]

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, object]:
        arguments = super()._prepare_subcommand_kwargs(subcommand)
        if self.stage == "fit":
            arguments |= {"ckpt_path": self.resume, "weights_only": True}
        if self.stage == "predict":
            arguments["return_predictions"] = False  # they are written as they come; memory stays flat
        return arguments

    def _run_subcommand(self, subcommand: str) -> None:
        with held_output(self.stage, self.folder, self.trainer, self.datamodule, resumed=self.resume is not None):
            super()._run_subcommand(subcommand)

    def after_fit(self) -> None:
        """Print what was made and what to type next."""
        if self.trainer.is_global_zero:
            print(outcome(self.folder, self.trainer))

    def after_validate(self) -> None:
        """Write the metrics."""
        self._write_metrics()

    def after_test(self) -> None:
        """Write the metrics."""
        self._write_metrics()

    def _write_metrics(self) -> None:
        if self.trainer.is_global_zero:
            values = {name: float(value) for name, value in sorted(self.trainer.callback_metrics.items())}
            finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
            write_json(self.folder / "metrics.json", {"checkpoint": self.checkpoint, **finite})

    def _run_folder(self) -> Path:
        options = self.options
        if self.stage == "fit":
            kind = options.model.class_path.rsplit(".", 1)[-1].lower()
            return options.runs / kind / (options.name or "default")
        return options.runs / self.stage / (options.name or short_name(self.checkpoint))

    def _check_run(self) -> None:
        """Resume only from a training checkpoint of the same model; never overwrite an earlier run."""
        options = self.options
        if options.ckpt_path is None:
            if int(os.environ.get("LOCAL_RANK", "0")) == 0 and not options.trainer.fast_dev_run:
                check_unused(self.folder)
            return
        found = checkpoint_to_resume(options.ckpt_path, self.folder / "checkpoints")
        check_same_model(found, self._parser(self.stage), options)
        self.resume, options.ckpt_path = str(found), None  # so that config.yaml can start another run
