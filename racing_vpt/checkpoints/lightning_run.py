"""Reads Lightning's checkpoints of a run folder.

If a run averages its weights (Lightning's `EMAWeightAveraging`), `state_dict` is the average; the weights for resuming
are stored separately in the file.
"""

from pathlib import Path

from racing_vpt.checkpoints.folder import Checkpoint, fingerprint
from racing_vpt.checkpoints.migrate import migrate_class, migrate_training
from racing_vpt.checkpoints.run_config import model_of_run
from racing_vpt.checkpoints.training_file import newest_first, read_training

FROM_CHECKPOINT = "init_from"  # placeholder for the size of the checkpoint that training started from


def read_lightning(path: Path) -> Checkpoint:
    """Read a Lightning `.ckpt`; its class and arguments are in it, or in the run's config.yaml."""
    saved = read_training(path)
    arguments = {str(key): value for key, value in saved.get("hyper_parameters", {}).items() if key != "_instantiator"}
    class_path = arguments.pop("_class_path", None)
    config = path.parent.parent / "config.yaml"
    if class_path is None and config.is_file():  # a module that saves no hyperparameters
        model = model_of_run(config)
        class_path, arguments = model["class_path"], model["init_args"]
    if not isinstance(class_path, str):
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
    finished = [path for path in checkpoints.glob("*.ckpt") if not path.name.startswith(".")]  # not being written
    if not finished:
        raise FileNotFoundError(
            f"{checkpoints} holds no .ckpt yet; the run has saved nothing, or is saving its first: wait for it"
        )
    best = [path for path in finished if path.name.startswith("best")]
    last = checkpoints / "last.ckpt"
    if not best and last.is_file():
        return last
    newest = newest_first(finished) if len(best) != 1 else best
    if len(best) > 1:
        callbacks = read_training(newest[0]).get("callbacks", {})
        recorded = {Path(str(state.get("best_model_path", ""))).name for state in callbacks.values()}
        best = [path for path in newest if path in best and path.name in recorded] or best
    return best[0] if best else newest[0]
