"""Arguments of models as version 0.1.0 had them, and what became of each."""

from __future__ import annotations

from racing_vpt.checkpoints.argument_changes import Arguments, Change, into, number_to, removed, renamed

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
OPTIMIZERS: dict[str, tuple[str, dict[str, object]]] = {  # default optimizers of 0.1.0, by path
    "racing_vpt.models.module.adamw": ("AdamW", {"lr": 3e-4, "weight_decay": 0.01}),
    "racing_vpt.models.token_world.adamw": ("AdamW", {"lr": 1e-4, "weight_decay": 0.01}),
    "racing_vpt.models.vae.adam": ("Adam", {"lr": 1e-4}),
    "racing_vpt.models.tokenizer.adam": ("Adam", {"lr": 1e-4}),
    "racing_vpt.models.mdn_rnn.adam": ("Adam", {"lr": 1e-3}),
    "racing_vpt.models.dqn.adam": ("Adam", {"lr": 2e-4, "fused": True}),
}


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


def game_of_frames(arguments: Arguments) -> None:
    """0.1.0's models without controls did not name their game; only Atari's have 15 frames per second."""
    frames = arguments.get("frames")
    if isinstance(frames, dict) and frames.get("frames_per_second") == 15:
        arguments.setdefault("game", "atari")


def no_stops(arguments: Arguments) -> None:
    """In 0.1.0 an IDM without given stops had none; now it has those of its game."""
    if "scheme" in arguments and arguments.get("stops") is None:
        arguments["stops"] = {}


TOKENIZER = into("tokenizer", "quantizer", "vocabulary", "levels", tokenizer_size="size")
RECONSTRUCTION = into("reconstruction", "pixel_loss", "perceptual", "perceptual_weight", "commitment_weight")
WORLD = into("world", "architecture", "positions", "pretrained", "actions", "reward", "unroll")
MODELS: dict[str, tuple[Change, ...]] = {  # by current class name, in order of application
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
}  # fmt: skip
