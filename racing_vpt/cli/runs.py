"""Run folders, resuming, loggers, and the classes that YAML may name."""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import yaml
from jsonargparse import Namespace, set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser

from racing_vpt import models
from racing_vpt.checkpoints.integrity import PREVIOUS, fault_of, newest_whole
from racing_vpt.checkpoints.migrate import migrate_config
from racing_vpt.checkpoints.run_config import model_of_run
from racing_vpt.cli.configs import is_inline
from racing_vpt.cli.hub_names import same_repository
from racing_vpt.cli.words import with_changes
from racing_vpt.games.game import Game
from racing_vpt.games.read import as_game, fields_of
from racing_vpt.hub.names import is_hub
from racing_vpt.types import frame_spec

NAMED = ("racing_vpt", "lightning", "torch")  # packages whose classes YAML may name
# files that fit replaces
RUN_FILES = ("config.yaml", "hparams.yaml", "metrics.csv", "episodes.csv", "drives.csv", "returns.png")
LIGHTNINGS_LOGGER = "lightning.pytorch.loggers.TensorBoardLogger"
RUN_LOGGER = "racing_vpt.callbacks.run_logger.RunLogger"  # used in its place
log = logging.getLogger(__name__)


def allow_imports(words: list[str]) -> list[str]:
    """Let YAML name classes of our packages and of those in `--allow_imports`; returns the words without it.

    The option exists on the command line only, because a file that could extend the list would make it useless.
    """
    more: list[str] = []

    def take(name: str, value: str) -> list[str] | None:
        if name != "--allow_imports":
            return None
        if not value or not all(part.isidentifier() for package in value.split(",") for part in package.split(".")):
            raise ValueError(f"--allow_imports takes names of packages, such as my_models,other; given: {value!r}")
        more.extend(value.split(","))
        return []

    rest = with_changes(words, take)
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=[*NAMED, *more])
    return rest


def know_models(words: list[str]) -> None:
    """Import our models if one is named by its class name alone: `--model VPT`, or `model: VPT` in a config."""
    asked: list[str] = []

    def note(name: str, value: str) -> None:
        if name == "--model":
            asked.append(value)
        elif name == "--config":
            text = value if is_inline(value) else Path(value).read_text(errors="replace")
            asked.extend(re.findall(r"\b(?:model|class_path): *([\w.]+)", text))

    with_changes(words, note)
    if any(name.isidentifier() for name in asked):
        for module in iter_modules(models.__path__):
            import_module(f"{models.__name__}.{module.name}")


def checkpoint_to_resume(given: str, checkpoints: Path) -> Path:
    """The training checkpoint that `fit --ckpt_path` names, verified to be whole.

    If a run is named (`last`, a folder) and its last checkpoint is damaged, the newest whole one is taken, with a
    warning. A damaged file that is named itself is an error.

    Args:
        given: `last`, a run folder, or a file.
        checkpoints: folder in which `last` is looked up.

    Raises:
        ValueError: it is not a training checkpoint, or it is damaged and the run has no whole one.
        FileNotFoundError: it does not exist.
    """
    if given.startswith(("zoo:", "hf:")) or given.endswith((".model", ".weights", ".safetensors")):
        raise ValueError(
            f"fit --ckpt_path resumes a training run, which {given} is not; to start from its weights: "
            f"--model.init_from {given}"
        )
    if "://" in given:
        raise ValueError(f"fit --ckpt_path resumes from a file on this machine, not from {given}; download it first")
    path = checkpoints / "last.ckpt" if given == "last" else Path(given)
    if given == "last" or path.is_dir():
        path = path / "checkpoints" / "last.ckpt" if path.is_dir() else path
        found, faults = newest_whole(path)
        for passed_over in faults:
            log.warning("passed over: %s", passed_over)
        if faults:
            log.warning("going on from the newest checkpoint that is whole: %s", found)
        return found
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; without --ckpt_path the run starts from the beginning")
    fault = fault_of(path)
    if fault is not None:
        raise ValueError(f"{fault}; the one before it, if there is one, is {path}{PREVIOUS}; or take --ckpt_path last")
    return path


def short_name(checkpoint: str) -> str:
    """Last part of a checkpoint's name, without a revision of the Hub; names the folder of what is measured with it."""
    name = checkpoint.partition("@")[0] if is_hub(checkpoint) else checkpoint.removeprefix("zoo:")
    return Path(name).resolve().name


def check_unused(folder: Path) -> None:
    """Raise ValueError where a new run's folder holds an earlier run, or others' files that training replaces."""
    if any((folder / "checkpoints").glob("*.ckpt")):
        raise ValueError(f"{folder} holds an earlier run: continue it with --ckpt_path last, or choose another --name")
    config = folder / "config.yaml"
    with suppress(OSError, yaml.YAMLError):
        if isinstance(read := yaml.safe_load(config.read_text()), dict) and "model" in read:
            return  # a run that was stopped before its first checkpoint
    there = [name for name in RUN_FILES if os.path.lexists(folder / name)]
    if there:
        raise ValueError(f"{folder / there[0]} belongs to no run, and training would replace it; choose another --name")


def check_same_model(checkpoint: Path, parser: LightningArgumentParser, options: Namespace) -> None:
    """Raise ValueError if the run of the checkpoint configured its model differently."""
    config = checkpoint.parent.parent / "config.yaml"
    if not config.is_file():
        return
    before = migrate_config(model_of_run(config), config)
    now = yaml.safe_load(parser.dump(options, skip_none=False))["model"]
    if before["class_path"] != now["class_path"]:
        raise ValueError(f"{checkpoint} holds a {before['class_path']}, not a {now['class_path']}")
    old, new = before.get("init_args", {}), now.get("init_args", {})
    for arguments in (old, new):
        arguments["game"] = as_game(arguments.get("game", "carracing"))
    check_resumed_game(old["game"], new["game"], checkpoint)
    changed = [key for key in sorted(old) if key != "game" and not alike(old[key], new.get(key))]
    if old["game"].scheme_for != new["game"].scheme_for or old["game"].controls != new["game"].controls:
        changed.append("game")
    if changed:
        key = changed[0]
        raise ValueError(
            f"{checkpoint} was trained with model.{key} = {old.get(key)}, but {new.get(key)} is asked for; resuming "
            f"takes the same model (see {config}); to fine-tune instead: --model.init_from {checkpoint}"
        )


def settle_game(model: Namespace, asked: str | None) -> None:
    """Write the whole game and the resulting frames into a model's arguments, so that checkpoints contain them.

    Args:
        model: `class_path` and `init_args`.
        asked: `--game`; None: the game of the arguments.

    Raises:
        ValueError: the class takes no game but one was given, or the game file is invalid.
    """
    module, _, name = model.class_path.rpartition(".")
    model_class, arguments = getattr(import_module(module), name), model.init_args
    if "game" not in arguments:
        if asked is not None:
            raise ValueError(f"{model.class_path} takes no game, but --game {asked} was given")
        return
    game = as_game(asked or arguments.game)
    arguments.game = fields_of(game)
    base = getattr(game, getattr(model_class, "GAME_FRAMES", "frames"))
    frames = asdict(frame_spec(vars(arguments.frames), base))
    arguments.frames = Namespace({**frames, "hide": [list(rectangle) for rectangle in frames["hide"]]})


def check_resumed_game(held: Game, asked: Game, checkpoint: Path) -> None:
    """Raise ValueError if a run would be resumed with another game."""
    if held.name != asked.name:
        raise ValueError(
            f"{checkpoint} was trained for the game {held.name}, but {asked.name} is asked for; resuming takes the "
            f"same game: give --game {held.name}; to fine-tune instead: --model.init_from {checkpoint}"
        )


def alike(old: object, new: object) -> bool:
    """Whether a new value equals the old one, apart from options that did not exist then, and revisions."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(alike(value, new.get(key)) for key, value in old.items())
    return old == new or same_repository(old, new)


def loggers_into(
    folder: Path, logger: bool | Namespace | list[Namespace] | None, training: bool
) -> bool | Namespace | list[Namespace]:
    """Loggers that write to the run folder; tensorboard by default in training."""
    if not training:
        return logger if isinstance(logger, bool) else False
    if logger is False:
        return False
    if logger is None or logger is True:
        logger = Namespace(class_path=LIGHTNINGS_LOGGER, init_args=Namespace())
    for each in logger if isinstance(logger, list) else [logger]:
        name = each.class_path.rsplit(".", 1)[-1]
        if each.class_path == LIGHTNINGS_LOGGER:
            each.class_path = RUN_LOGGER
        each.init_args["save_dir"] = str(folder)
        if name in ("TensorBoardLogger", "CSVLogger"):
            each.init_args.update(Namespace(name="", version=""))
    return logger
