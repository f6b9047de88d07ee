"""Migration of checkpoints and runs of earlier versions: old names of classes, options and weights.

Class paths and arguments are stored in a checkpoint's `config.json` and a run's `config.yaml`; names of weights,
callbacks and data modules in a run's `.ckpt`. To rename one of these, add a line to a table below. Old names are never
removed; current ones pass through unchanged.

Errors name `VERSION_THAT_READS` if something cannot be migrated, such as an option that no longer exists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

VERSION_THAT_READS = "0.1.0"  # the last version that reads everything in the old form

Arguments = dict[str, Any]
Change = Callable[[Arguments], None]
"""Changes arguments of an earlier version to the current ones, in place; leaves current ones as they are."""


class MigrationError(ValueError):
    """Settings of an earlier version that this one cannot express."""


def renamed(old: str, new: str) -> Change:
    """Rename an argument, or move it into a group (`network.size`)."""

    def change(arguments: Arguments) -> None:
        if old not in arguments:
            return
        *outer, name = new.split(".")
        value, place = arguments.pop(old), arguments
        for part in outer:
            place = place.setdefault(part, {})
        place.setdefault(name, value)

    return change


def removed(name: str, *harmless: object) -> Change:
    """Remove an argument; MigrationError if its value is not among the `harmless` ones (none given: all are)."""

    def change(arguments: Arguments) -> None:
        if name not in arguments:
            return
        value = arguments.pop(name)
        if harmless and value not in harmless:
            raise MigrationError(f"{name} is {value!r}, but this version has no such option")

    return change


def into(group: str, *names: str, **renamed_names: str) -> tuple[Change, ...]:
    """Move arguments into `group`, keeping their names or with new ones (`old="new"`)."""
    same = {name: name for name in names}
    return tuple(renamed(old, f"{group}.{new}") for old, new in {**same, **renamed_names}.items())


def number_to(name: str, inner: str) -> Change:
    """Replace a number by a group of the same name that has it as argument `inner`."""

    def change(arguments: Arguments) -> None:
        if isinstance(arguments.get(name), int | float):
            arguments[name] = {inner: arguments[name]}

    return change


def unless_none(name: str) -> Change:
    """Drop an argument that may no longer be None; None was its default."""

    def change(arguments: Arguments) -> None:
        if name in arguments and arguments[name] is None:
            del arguments[name]

    return change


def optimizer_written_out(arguments: Arguments) -> None:
    """Default optimizers of 0.1.0 were our own functions; configurations now contain their settings."""
    if isinstance(arguments.get("optimizer"), str) and arguments["optimizer"] in OPTIMIZERS:
        name, settings = OPTIMIZERS[arguments["optimizer"]]
        arguments["optimizer"] = {"class_path": f"torch.optim.{name}", "init_args": dict(settings)}


def world_and_its_tokenizer(arguments: Arguments) -> None:
    """0.1.0 gave the path of a TokenWorld's tokenizer as `tokenizer`; a missing size was that of the world model."""
    if "tokenizer" in arguments and not isinstance(arguments["tokenizer"], dict):
        arguments["init_tokenizer"] = arguments.pop("tokenizer")
    if "size" in arguments and arguments.get("tokenizer_size") is None:
        arguments["tokenizer_size"] = arguments["size"]


def parts_of_iris(arguments: Arguments) -> None:
    """0.1.0 had one `size` for the parts that had none of their own."""
    size = arguments.pop("size", None)
    for part in ("tokenizer_size", "world_size", "agent_size"):
        own = arguments.pop(part, None)
        if own is not None or size is not None:
            arguments[part] = size if own is None else own


def game_of_scheme(arguments: Arguments) -> None:
    """0.1.0 named a control scheme instead of a game; an IDM without stops had none."""
    if "scheme" in arguments:
        scheme = arguments.pop("scheme")
        arguments.setdefault("game", SCHEMES.get(scheme, scheme))


def null_frames_of_game(arguments: Arguments) -> None:
    """0.1.0 named the control scheme whose null frames are dropped; now a game, with its scheme if necessary."""
    if arguments.get("drop_null") in SCHEMES:  # as in 0.1.0; now within `controls`
        arguments["drop_null"] = SCHEMES[arguments["drop_null"]]


def game_of_frames(arguments: Arguments) -> None:
    """0.1.0's models without controls did not name their game; only Atari's have 15 frames per second."""
    frames = arguments.get("frames")
    if isinstance(frames, dict) and frames.get("frames_per_second") == 15:
        arguments.setdefault("game", "atari")


def no_stops(arguments: Arguments) -> None:
    """In 0.1.0 an IDM without given stops had none; now it has those of its game."""
    if "scheme" in arguments and arguments.get("stops") is None:
        arguments["stops"] = {}


SCHEMES: dict[str, str] = {  # control scheme of 0.1.0: game, with its scheme where the model's default is another
    "car": "carracing",
    "carracing": "carracing:few",
    "carracing-discrete": "carracing:five",
    "buttons-nes": "nes",
    "minecraft": "minecraft:controls",
    "minecraft-factored": "minecraft:factored",
    "atari": "atari",
    "atari-enduro": "enduro",
    "atari-breakout": "breakout",
}
CLASSES: dict[str, str] = {  # old class path: current one
    "racing_vpt.data.replay_datamodule.ReplayDataModule": "racing_vpt.replay.datamodule.ReplayDataModule",
    "racing_vpt.data.stretch_datamodule.StretchDataModule": "racing_vpt.replay.segment_datamodule.SegmentDataModule",
    "racing_vpt.data.datamodule.VideoDataModule": "racing_vpt.data.clip_datamodule.ClipDataModule",
}
OPTIMIZERS: dict[str, tuple[str, dict[str, object]]] = {  # default optimizers of 0.1.0, by path
    "racing_vpt.models.module.adamw": ("AdamW", {"lr": 3e-4, "weight_decay": 0.01}),
    "racing_vpt.models.token_world.adamw": ("AdamW", {"lr": 1e-4, "weight_decay": 0.01}),
    "racing_vpt.models.vae.adam": ("Adam", {"lr": 1e-4}),
    "racing_vpt.models.tokenizer.adam": ("Adam", {"lr": 1e-4}),
    "racing_vpt.models.mdn_rnn.adam": ("Adam", {"lr": 1e-3}),
    "racing_vpt.models.dqn.adam": ("Adam", {"lr": 2e-4, "fused": True}),
}
TOKENIZER = into("tokenizer", "quantizer", "vocabulary", "levels", tokenizer_size="size")
RECONSTRUCTION = into("reconstruction", "pixel_loss", "perceptual", "perceptual_weight", "commitment_weight")
READING = (unless_none("remote"), *into("reading", "frames", "decoder", "cache_gib", "codes", "remote"))
WORLD = into("world", "architecture", "positions", "pretrained", "actions", "reward", "unroll")
ARGUMENTS: dict[str, tuple[Change, ...]] = {  # by current class name, in order of application
    "VPT": (
        optimizer_written_out,
        game_of_scheme,
        *into("network", "size", "look_back", "memory_frames", "recurrence_layers", "temperature"),
        *into("cloning", "carry_memory", "burn_in", "forget", "null_filter", "confidence_power", "class_weighting"),
        *into("cloning", smoothing="label_smoothing"),
        *into("acting", act="choice", act_temperature="temperature"),
        *into("freezing", freeze="freeze", unfreeze="keep", unfreeze_at="until_step"),
    ),
    "IDM": (
        optimizer_written_out,
        no_stops,
        game_of_scheme,
        *into("network", "size", "cnn", "view", "motion", "motion_finest", "over_time", "convolutions"),
        *into("network", "close_heads", "close_convolutions", "close_channels", "reach", "dropout"),
        *into("loss", "mean_weight", "label_smoothing", "class_weighting"),
    ),
    "DQN": (
        optimizer_written_out,
        game_of_frames,
        *into("network", "stack", "trunk", "channels", "hidden", "dueling", "noisy", "quantiles", "layer_norm"),
        *into("learning", "double", "discount", "reward_scale", "missed_cost", "rescale_values", "huber", "mirror"),
        *into("target", target_every="every", target_rate="rate"),
        *into("exploration", epsilon_start="start", epsilon_end="end", epsilon_decisions="decisions"),
        *into("exploration", epsilon_spread="spread", epsilon_hold="hold"),
        number_to("margin", "size"),
        *into("margin", margin_weight="weight"),
    ),
    "Controller": (game_of_frames, *into("search", "pop_size", "n_samples", "sigma", "target_return", "seed")),
    "VAE": (optimizer_written_out, game_of_frames),
    "MDNRNN": (optimizer_written_out, game_of_frames, removed("reward_weight", 0.1), removed("end_weight", 1.0)),
    "Tokenizer": (
        optimizer_written_out,
        game_of_frames,
        renamed("size", "tokenizer.size"),
        *TOKENIZER,
        *RECONSTRUCTION,
        *into("adversarial", adversarial_weight="weight", adversarial_from="start_step"),
        removed("adversarial_clip", 10.0),
    ),
    "TokenWorld": (
        optimizer_written_out, game_of_scheme, world_and_its_tokenizer, renamed("size", "world.size"),
        *WORLD, *TOKENIZER,
    ),
    "IRIS": (
        game_of_scheme,
        parts_of_iris,
        renamed("world_size", "world.size"),
        *WORLD,
        *TOKENIZER,
        *RECONSTRUCTION,
        *into("actor", "sees", "act", "epsilon", agent_size="size"),
        *into("learning", "gamma", "lam", "entropy_weight", "entropy_end", "scale_returns", slow_decay="target_decay"),
        *into("learning", "imitate_updates", "imitate_weight"),
        *into("dreams", "burn_in", "horizon", "reuse", "tau"),
        *into("training", "world_frames", "compile", train_tokenizer="tokenizer", train_world="world"),
        *into("training", train_agent="agent"),
    ),
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
