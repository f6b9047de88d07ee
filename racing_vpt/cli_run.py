"""What lies in a run folder, and whether a run can be continued."""

from __future__ import annotations

from pathlib import Path

import yaml
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser


def check_same_model(checkpoint: Path, parser: LightningArgumentParser, options: Namespace) -> None:
    """Raise ValueError if the run that wrote the checkpoint configured its model otherwise."""
    config = checkpoint.parent.parent / "config.yaml"
    if not config.is_file():
        return
    before = yaml.safe_load(config.read_text())["model"]
    now = yaml.safe_load(parser.dump(options, skip_none=False))["model"]
    if before["class_path"] != now["class_path"]:
        raise ValueError(f"{checkpoint} holds a {before['class_path']}, not a {now['class_path']}")
    old, new = before.get("init_args", {}), now.get("init_args", {})
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    if changed:
        key = changed[0]
        raise ValueError(
            f"{checkpoint} was trained with model.{key} = {old.get(key)}, but {new.get(key)} is asked for; resuming "
            f"takes the same model (see {config}); to fine-tune instead: --model.init_from {checkpoint}"
        )


def loggers_into(
    folder: Path, logger: bool | Namespace | list[Namespace] | None, training: bool
) -> bool | Namespace | list[Namespace]:
    """The loggers with the run folder as their folder; tensorboard where training asks for no other."""
    if not training:
        return logger if isinstance(logger, bool) else False
    if logger is False:
        return False
    if logger is None or logger is True:
        logger = Namespace(class_path="lightning.pytorch.loggers.TensorBoardLogger", init_args=Namespace())
    for each in logger if isinstance(logger, list) else [logger]:
        name = each.class_path.rsplit(".", 1)[-1]
        each.init_args["save_dir"] = str(folder)
        if name in ("TensorBoardLogger", "CSVLogger"):
            each.init_args.update(Namespace(name="", version=""))
    return logger
