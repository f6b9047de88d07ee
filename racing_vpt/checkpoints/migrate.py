"""Migration of checkpoints and runs of earlier versions: old names of classes, options and weights.

Class paths and arguments are stored in a checkpoint's `config.json` and a run's `config.yaml`; names of weights,
callbacks and data modules in a run's `.ckpt`. To rename an argument, add a line to `old_models.py` or `old_data.py`;
the other tables are below. Old names are never removed; current ones pass through unchanged.

Errors name `VERSION_THAT_READS` if something cannot be migrated, such as an option that no longer exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from racing_vpt.checkpoints.argument_changes import Arguments, Change, MigrationError
from racing_vpt.checkpoints.old_data import CLASSES, DATA_MODULES
from racing_vpt.checkpoints.old_models import MODELS

VERSION_THAT_READS = "0.1.0"  # the last version that reads everything in the old form
ARGUMENTS: dict[str, tuple[Change, ...]] = {**MODELS, **DATA_MODULES}  # by current class name
WEIGHTS: dict[str, str] = {"slow.net.": "target_critic.net."}  # old prefix of weight names: current one
# old class of a callback or data module in a `.ckpt`: current one
STATES: dict[str, str] = {"VideoDataModule": "ClipDataModule", "StretchDataModule": "SegmentDataModule"}


def migrate_class(class_path: str, init_args: Mapping, name: object) -> tuple[str, Arguments]:
    """Current class path and arguments, including those of nested classes.

    Args:
        class_path: such as `racing_vpt.models.idm.IDM`.
        init_args: its arguments, plain data.
        name: name of the file, for messages.

    Raises:
        MigrationError: not supported by this version; the message names the version that does.
    """
    class_path = CLASSES.get(class_path, class_path)
    arguments = deepcopy(dict(init_args))
    for change in ARGUMENTS.get(class_path.rsplit(".", 1)[-1], ()):
        try:
            change(arguments)
        except MigrationError as error:
            raise MigrationError(f"{name}: {class_path}: {error}; {how_to_read()}") from error
    return class_path, {key: _migrate_value(value, name) for key, value in arguments.items()}


def migrate_config(config: Mapping, name: object) -> dict[str, Any]:
    """A run's `config.yaml`, or any part of one: every class in it by `migrate_class`."""
    migrated = _migrate_value(dict(config), name)
    assert isinstance(migrated, dict), "a mapping stays one"
    model, data = migrated.get("model"), migrated.get("data")
    if isinstance(model, dict) and str(model.get("class_path")).endswith(".Controller") and isinstance(data, dict):
        steps = (data.get("init_args") or {}).get("steps_per_epoch")  # its other arguments had no effect
        given = {} if steps is None else {"init_args": {"steps_per_epoch": steps}}
        migrated["data"] = {"class_path": "racing_vpt.data.step_datamodule.StepDataModule", **given}
    return migrated


def migrate_frames(frames: Mapping) -> dict[str, Any]:
    """Frame settings: `mask_bottom`, a share of the height, became a rectangle of `hide`."""
    migrated = dict(frames)
    if "mask_bottom" in migrated:
        masked = migrated.pop("mask_bottom")
        migrated["hide"] = [[1.0 - masked, 0.0, masked, 1.0]] if masked else []
    return migrated


def migrate_weights(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Weights by current names."""
    return {_begins(key, WEIGHTS): value for key, value in state_dict.items()}


def migrate_training(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Migrate a Lightning `.ckpt` in place: weights, their averages, and states of callbacks and data modules."""
    for part in ("state_dict", "current_model_state"):
        if isinstance(checkpoint.get(part), Mapping):
            checkpoint[part] = migrate_weights(checkpoint[part])
    if isinstance(checkpoint.get("callbacks"), Mapping):
        checkpoint["callbacks"] = {_begins(key, STATES): value for key, value in checkpoint["callbacks"].items()}
    for old, new in STATES.items():
        if old in checkpoint:
            checkpoint[new] = checkpoint.pop(old)
    return checkpoint


def how_to_read() -> str:
    """Advice for files that this version cannot read."""
    return f"version {VERSION_THAT_READS} of racing-vpt can read it"


def _migrate_value(value: Any, name: object) -> Any:
    if isinstance(value, list):
        return [_migrate_value(each, name) for each in value]
    if not isinstance(value, dict):
        return value
    if "mask_bottom" in value:
        value = migrate_frames(value)
    if isinstance(value.get("class_path"), str):
        class_path, init_args = migrate_class(value["class_path"], value.get("init_args") or {}, name)
        rest = {key: each for key, each in value.items() if key not in ("class_path", "init_args")}
        return {"class_path": class_path, **({"init_args": init_args} if "init_args" in value else {}), **rest}
    return {key: _migrate_value(each, name) for key, each in value.items()}


def _begins(name: str, table: Mapping[str, str]) -> str:
    for old, new in table.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
