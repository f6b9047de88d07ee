"""Reads Lightning's checkpoints of a run folder.

If a run averages its weights (Lightning's `EMAWeightAveraging`), `state_dict` is the average; the weights for resuming
are stored separately in the file.
"""

from pathlib import Path

import yaml

from racing_vpt.checkpoints.folder import Checkpoint, fingerprint
from racing_vpt.checkpoints.migrate import migrate_class, migrate_training
from racing_vpt.checkpoints.openai import load_tensors

FROM_CHECKPOINT = "init_from"  # placeholder for the size of the checkpoint that training started from


def read_lightning(path: Path) -> Checkpoint:
    """Read a Lightning `.ckpt`; its class and arguments are in it, or in the run's config.yaml."""
    saved = load_tensors(path)
    if not isinstance(saved.get("state_dict"), dict):
        raise ValueError(f"{path} has no state_dict; expected a checkpoint that racing-vpt fit wrote")
    arguments = {str(key): value for key, value in saved.get("hyper_parameters", {}).items() if key != "_instantiator"}
    class_path = arguments.pop("_class_path", None)
    config = path.parent.parent / "config.yaml"
    if class_path is None and config.is_file():  # a module that saves no hyperparameters
        model = (yaml.safe_load(config.read_text()) or {}).get("model") or {}
        class_path, arguments = model.get("class_path"), model.get("init_args") or {}
    if class_path is None:
        raise ValueError(f"{path} does not name its class, nor does {config}; write it with racing-vpt fit")
    weights_name = fingerprint(saved["state_dict"])  # before migration, so that it stays the same
    class_path, arguments = migrate_class(class_path, arguments, path)
    network = arguments.get("network")
    if isinstance(network, dict) and network.get("size") == FROM_CHECKPOINT:
        network |= saved.get("resolved", {})
    saved = migrate_training(saved)
    extra = {key: saved[key] for key in ("epoch", "global_step") if key in saved}
    return Checkpoint(path, class_path, arguments, saved["state_dict"], extra, weights_name)


def best_of_run(checkpoints: Path) -> Path:
    """The best checkpoint of a run, as recorded by it; otherwise the last."""
    finished = [
        path for path in checkpoints.glob("*.ckpt") if not path.name.startswith(".")
    ]  # not one that is being written
    newest = sorted(finished, key=lambda path: path.stat().st_mtime)
    if not newest:
        raise FileNotFoundError(
            f"{checkpoints} holds no .ckpt yet; the run has saved nothing, or is saving its first: wait for it"
        )
    best = [path for path in newest if path.name.startswith("best")]
    if len(best) > 1:
        callbacks = load_tensors(newest[-1]).get("callbacks", {})
        recorded = {Path(str(state.get("best_model_path", ""))).name for state in callbacks.values()}
        best = [path for path in best if path.name in recorded] or best
    last = checkpoints / "last.ckpt"
    return best[-1] if best else last if last.is_file() else newest[-1]
