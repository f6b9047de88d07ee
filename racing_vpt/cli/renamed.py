"""Renamed verbs and options: an old name is answered in one line with the new one.

Each renamed option has a row here. `--data.min_confidence` of every stage would be
`OPTIONS["stages"]["data.min_confidence"] = "data.trust.min_confidence"`; options of a single class
are listed under its name. The same rows answer old keys in YAML files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

STAGES = "stages"  # owner of the options shared by fit, validate, test and predict

VERBS: dict[str, str] = {  # old verb: new verb, or a sentence with what to type
    "import-contractor": "it is now: racing-vpt import FOLDER --format contractor --out OUT, and its options begin "
    "with --contractor, as in --contractor.null_actions drop",
}

# owner (a verb, `stages`, or a class such as IDM): {old option: new option, or a sentence}; dotted, without `--`
OPTIONS: dict[str, dict[str, str]] = {
    "import": {
        "null_actions": "contractor.null_actions",
        "draw_pointer": "contractor.draw_pointer",
        "recorder_version": "contractor.recorder_version",
        "release_stuck_attack": "contractor.release_stuck_attack",
        "slot_keys": "contractor.slot_keys",
        "escape_is_inventory": "contractor.escape_is_inventory",
        "height": "contractor.height",
        "width": "contractor.width",
        "resize": "contractor.resize",
    },
    STAGES: {
        "model.scheme": "controls come with the game now: --model.game NAME or --model.game FILE.yaml",
        "data.labels": "data.controls.labels",
        "data.min_confidence": "data.controls.min_confidence",
        "data.confidence_weighting": "data.controls.confidence_weighting",
        "data.perturbed": "data.controls.perturbed",
        "data.mean_controls": "data.controls.mean",
        "data.drop_null": "data.controls.drop_null",
        "data.num_workers": "data.loading.num_workers",
        "data.device": "data.loading.device",
        "data.seed": "data.loading.seed",
        "data.val_fraction": "data.loading.val_fraction",
        "data.frames": "data.reading.frames",
        "data.decoder": "it is called --data.reading.decoder now (of demonstrations: --data.teaching.decoder)",
        "data.cache_gib": "data.reading.cache_gib",
        "data.codes": "data.reading.codes",
        "data.remote": "data.reading.remote",
        "data.remote.tries": "data.reading.remote.tries",
        "data.remote.seconds": "data.reading.remote.seconds",
        "data.remote.wait": "data.reading.remote.wait",
        "data.remote.cache": "data.reading.remote.cache",
        "data.remote.cache_gib": "data.reading.remote.cache_gib",
        "data.predict_batch_size": "data.batch_size",
        "data.prioritised": "data.priorities.alpha",
        "data.beta": "data.priorities.beta",
        "data.demonstrations": "data.teaching.demonstrations",
        "data.demonstration_share": "data.teaching.share",
        "data.teacher": "data.teaching.teacher",
        "data.stretch": "world models learn from a SegmentDataModule now: --data.class_path "
        "racing_vpt.replay.segment_datamodule.SegmentDataModule",
        "data.env": "data.collecting.env",
        "data.collect": "data.collecting.decisions",
        "data.collect_epochs": "data.collecting.epochs",
        "data.warm_up": "data.collecting.warm_up",
        "data.val_rows": "data.validation.rows",
        "data.val_frames": "data.validation.frames",
        "data.val_steps": "data.validation.steps",
        "model.frames.mask_bottom": "rectangles now: --model.frames.hide '[[0.875, 0, 0.125, 1]]'",
    },
    "VPT": {
        "model.look_back": "model.network.look_back",
        "model.memory_frames": "model.network.memory_frames",
        "model.recurrence_layers": "model.network.recurrence_layers",
        "model.temperature": "model.network.temperature",
        "model.carry_memory": "model.cloning.carry_memory",
        "model.forget": "model.cloning.forget",
        "model.null_filter": "model.cloning.null_filter",
        "model.confidence_power": "model.cloning.confidence_power",
        "model.smoothing": "model.cloning.label_smoothing",
        "model.act_temperature": "model.acting.temperature",
        "model.freeze": "model.freezing.freeze",
        "model.unfreeze": "model.freezing.keep",
        "model.unfreeze_at": "model.freezing.until_step",
        "model.size": (
            "options of networks are in groups now: "
            "--model.network.size (VPT, IDM), --model.tokenizer.size, --model.world.size, --model.actor.size"
        ),
        "model.class_weighting": (
            "it is in a group now: --model.cloning.class_weighting (VPT), --model.loss.class_weighting (IDM)"
        ),
        "model.act": "it is in a group now: --model.acting.choice (VPT), --model.actor.act (IRIS)",
        "model.burn_in": "it is in a group now: --model.cloning.burn_in (VPT), --model.dreams.burn_in (IRIS)",
    },
    "IDM": {
        "model.cnn": "model.network.cnn",
        "model.view": "model.network.view",
        "model.motion": "model.network.motion",
        "model.motion_finest": "model.network.motion_finest",
        "model.over_time": "model.network.over_time",
        "model.convolutions": "model.network.convolutions",
        "model.close_heads": "model.network.close_heads",
        "model.close_convolutions": "model.network.close_convolutions",
        "model.close_channels": "model.network.close_channels",
        "model.reach": "model.network.reach",
        "model.dropout": "model.network.dropout",
        "model.mean_weight": "model.loss.mean_weight",
        "model.label_smoothing": "model.loss.label_smoothing",
    },
    "DQN": {
        "model.stack": "model.network.stack",
        "model.trunk": "model.network.trunk",
        "model.channels": "model.network.channels",
        "model.hidden": "model.network.hidden",
        "model.dueling": "model.network.dueling",
        "model.noisy": "model.network.noisy",
        "model.quantiles": "model.network.quantiles",
        "model.layer_norm": "model.network.layer_norm",
        "model.double": "model.learning.double",
        "model.discount": "model.learning.discount",
        "model.reward_scale": "model.learning.reward_scale",
        "model.missed_cost": "model.learning.missed_cost",
        "model.rescale_values": "model.learning.rescale_values",
        "model.huber": "model.learning.huber",
        "model.mirror": "model.learning.mirror",
        "model.target_every": "model.target.every",
        "model.target_rate": "model.target.rate",
        "model.epsilon_start": "model.exploration.start",
        "model.epsilon_end": "model.exploration.end",
        "model.epsilon_decisions": "model.exploration.decisions",
        "model.epsilon_spread": "model.exploration.spread",
        "model.epsilon_hold": "model.exploration.hold",
        "model.margin_weight": "model.margin.weight",
    },
    "Controller": {
        "model.pop_size": "model.search.pop_size",
        "model.n_samples": "model.search.n_samples",
        "model.sigma": "model.search.sigma",
        "model.target_return": "model.search.target_return",
        "model.seed": "model.search.seed",
    },
    "MDNRNN": {
        "model.reward_weight": "it is gone; rewards weigh 0.1 in the loss",
        "model.end_weight": "it is gone; ends weigh 1 in the loss",
    },
    "Tokenizer": {
        "model.quantizer": "model.tokenizer.quantizer",
        "model.vocabulary": "model.tokenizer.vocabulary",
        "model.levels": "model.tokenizer.levels",
        "model.pixel_loss": "model.reconstruction.pixel_loss",
        "model.perceptual": "model.reconstruction.perceptual",
        "model.perceptual_weight": "model.reconstruction.perceptual_weight",
        "model.commitment_weight": "model.reconstruction.commitment_weight",
        "model.adversarial_weight": "model.adversarial.weight",
        "model.adversarial_from": "model.adversarial.start_step",
        "model.adversarial_clip": "it is gone; gradients are clipped at norm 10",
    },
    "TokenWorld": {
        "model.tokenizer_size": "model.tokenizer.size",
        "model.architecture": "model.world.architecture",
        "model.positions": "model.world.positions",
        "model.pretrained": "model.world.pretrained",
        "model.actions": "model.world.actions",
        "model.reward": "model.world.reward",
        "model.unroll": "model.world.unroll",
    },
    "IRIS": {
        "model.world_size": "model.world.size",
        "model.sees": "model.actor.sees",
        "model.epsilon": "model.actor.epsilon",
        "model.agent_size": "model.actor.size",
        "model.gamma": "model.learning.gamma",
        "model.lam": "model.learning.lam",
        "model.entropy_weight": "model.learning.entropy_weight",
        "model.entropy_end": "model.learning.entropy_end",
        "model.scale_returns": "model.learning.scale_returns",
        "model.imitate_updates": "model.learning.imitate_updates",
        "model.imitate_weight": "model.learning.imitate_weight",
        "model.slow_decay": "model.learning.target_decay",
        "model.horizon": "model.dreams.horizon",
        "model.reuse": "model.dreams.reuse",
        "model.tau": "model.dreams.tau",
        "model.world_frames": "model.training.world_frames",
        "model.compile": "model.training.compile",
        "model.train_tokenizer": "model.training.tokenizer",
        "model.train_world": "model.training.world",
        "model.train_agent": "model.training.agent",
    },
}

# options that took a value and are now groups: the option for an old value
GROUPS: dict[str, dict[str, str]] = {
    "TokenWorld": {"model.tokenizer": "model.init_tokenizer"},
    "DQN": {"model.margin": "model.margin.size"},
}


def renamed_verb(verb: str, verbs: Mapping[str, str] = VERBS) -> str | None:
    """Message for an old verb in one line; None if it never was one."""
    new = verbs.get(verb)
    return None if new is None else _sentence(verb, new, "racing-vpt ")


def renamed_option(
    verb: str, unknown: str, words: Iterable[str], options: Mapping[str, Mapping[str, str]] = OPTIONS
) -> str | None:
    """Message for an unknown option or YAML key in one line; None if it is not in the table.

    Args:
        verb: verb or stage that was typed.
        unknown: option that the parser does not know, with or without `--`, or its last part, or a YAML key.
        words: command line, which contains the full name of the option.
        options: the table.
    """
    unknown = unknown.lstrip("-").split("=")[0]
    typed = [word.lstrip("-").split("=")[0] for word in words if word.startswith("--")]
    names = [name for name in typed if name == unknown or name.endswith(f".{unknown}")]
    for owner in (verb, STAGES, *(owner for owner in options if owner[0].isupper())):
        for old, new in options.get(owner, {}).items():
            if old in names or (not names and (old == unknown or old.endswith(f".{unknown}"))):
                return _sentence(f"--{old}", new, "--")
    return None


def export_of_weights(words: Sequence[str]) -> str | None:
    """Message for `export CHECKPOINT OUT`, as `export-weights` was called before; None for an export of data.

    Args:
        words: command line after the verb.
    """
    named = [word.split("=")[0] for word in words if word.startswith("-")]
    if not words or words[0].startswith("-") or {"--format", "--config", "-h", "--help"} & set(named):
        return None
    return (
        f"of a checkpoint it is called racing-vpt export-weights now: racing-vpt export-weights {words[0]} OUT; "
        f"of recordings, labels or shards say the format: racing-vpt export {words[0]} --format table --out OUT"
    )


def _sentence(old: str, new: str, prefix: str) -> str:
    return f"{old}: {new}" if " " in new else f"{old} is called {prefix}{new} now"
