"""Our checkpoint format: a folder of `model.safetensors`, `config.json` and a model card, `README.md`.

`fingerprint` names the weights by their bytes, and labels name their maker by it, so that it stays what it was;
`content_sha256` covers everything else too: settings, dtypes, shapes. Formats 1 and 2 had no such field.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from racing_vpt.checkpoints.migrate import migrate_class, migrate_weights
from racing_vpt.files import Draft, check_free, publish_together, read_json

FORMAT = 3  # 1: flat options of models (`migrate.py`); 2: without content_sha256
READABLE = (1, 2, 3)
NOT_COVERED = (1, 2)
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
FILES = (WEIGHTS, CONFIG, CARD)
REQUIRED = ("format", "class_path", "init_args", "fingerprint")
CONTENT = "content_sha256"  # field of config.json
TRAINING_ONLY = frozenset({  # arguments that do not affect the network
    "optimizer", "init_from", "init_tokenizer", "init_world", "vae", "memory",
})  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """Weights, and class and arguments of their module.

    Args:
        path: file or folder that was read.
        class_path: path of the LightningModule, such as `racing_vpt.models.idm.IDM`.
        init_args: its arguments, plain data.
        state_dict: tensors on the CPU by name.
        extra: other fields of the file.
        fingerprint: 16 hexadecimal digits that identify these weights.
        not_covered: what no checksum covers, so that a change of it would not be noticed; of our folders only.
    """

    path: Path
    class_path: str
    init_args: dict
    state_dict: dict[str, Tensor] = field(repr=False)
    extra: dict
    fingerprint: str
    not_covered: str = ""


def weights_sha256(state_dict: Mapping[str, Tensor]) -> str:
    """Hexadecimal sha256 over the sorted tensors' names and bytes."""
    digest = hashlib.sha256()
    for name in sorted(state_dict):
        digest.update(name.encode())
        digest.update(state_dict[name].detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def fingerprint(state_dict: Mapping[str, Tensor]) -> str:
    """First 16 hexadecimal digits of the sha256 over the sorted tensors' names and bytes."""
    return weights_sha256(state_dict)[:16]


def content_sha256(config: Mapping, state_dict: Mapping[str, Tensor], weights: str) -> str:
    """Hexadecimal sha256 of all that makes a checkpoint: settings, and names, dtypes, shapes and bytes of its tensors.

    Args:
        config: what config.json holds; the order of its fields does not matter, nor does the field for this hash.
        state_dict: tensors by name.
        weights: their `weights_sha256`.
    """
    settings = {key: value for key, value in config.items() if key != CONTENT}
    tensors = [[name, str(state_dict[name].dtype), list(state_dict[name].shape)] for name in sorted(state_dict)]
    content = json.dumps([settings, tensors, weights], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def save_checkpoint(
    folder: Path, class_path: str, init_args: Mapping, state_dict: Mapping[str, Tensor],
    extra: Mapping | None = None, card: str | None = None,
) -> None:  # fmt: skip
    """Write a checkpoint in our format: all of its files, or none.

    Args:
        folder: destination; created if it does not exist.
        class_path: path of the LightningModule.
        init_args: its arguments, plain data.
        state_dict: its tensors by name.
        extra: more fields for config.json.
        card: text of README.md: data, command, scores, limits.
    """
    tensors = {key: value.detach().cpu().clone().contiguous() for key, value in state_dict.items()}
    arguments = {key: value for key, value in init_args.items() if key not in TRAINING_ONLY}
    weights = weights_sha256(tensors)
    described = {
        "format": FORMAT, "class_path": class_path, "init_args": arguments,
        "fingerprint": weights[:16], **(extra or {}),
    }  # fmt: skip
    config = json.loads(json.dumps(described, allow_nan=False))  # as it will be read: tuples are lists
    config[CONTENT] = content_sha256(config, tensors, weights)
    content = {
        WEIGHTS: save(tensors, metadata={"format": "pt"}),  # save_file would rename a file of its own
        **({} if card is None else {CARD: card.encode()}),
        CONFIG: (json.dumps(config, indent=2, allow_nan=False) + "\n").encode(),
    }
    drafts: list[Draft] = []
    try:
        for name, file in content.items():
            drafts.append(Draft(folder / name))
            drafts[-1].temporary.write_bytes(file)
        publish_together(drafts, replaced=[folder / name for name in content])
    finally:
        for draft in drafts:
            draft.discard()


def check_free_for_checkpoint(folder: Path) -> None:
    """FileExistsError where a folder has files that a checkpoint written there would replace."""
    for name in FILES:
        check_free(folder / name)


def holds(folder: Path, class_path: str, state_dict: Mapping[str, Tensor]) -> bool:
    """Whether a folder holds a checkpoint of this class with these weights."""
    there = read_folder(folder)
    same_names = there.class_path == class_path and there.state_dict.keys() == state_dict.keys()
    return same_names and all(tensor.equal(state_dict[name]) for name, tensor in there.state_dict.items())


def read_folder(folder: Path) -> Checkpoint:
    """Read a checkpoint in our format; FileNotFoundError or ValueError describes what is wrong with it."""
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise FileNotFoundError(f"{folder} lacks {file}; a checkpoint folder has {WEIGHTS} and {CONFIG}")
    config = _read_config(folder / CONFIG)
    try:
        state_dict = load_file(folder / WEIGHTS)
    except (SafetensorError, KeyError, ValueError, OverflowError) as error:
        raise ValueError(f"{folder / WEIGHTS} is not a complete safetensors file: {error}") from error
    weights, recorded = weights_sha256(state_dict), config["fingerprint"]
    found = weights[:16]
    if found != recorded:
        raise ValueError(f"{folder}: the weights' fingerprint is {found}, but {CONFIG} belongs to {str(recorded)[:80]}")
    covered = config["format"] not in NOT_COVERED
    if covered and content_sha256(config, state_dict, weights) != config[CONTENT]:
        raise ValueError(
            f"{folder}: settings, dtypes or shapes are not those that were written ({CONTENT} in {CONFIG} is of others)"
        )
    extra = {key: value for key, value in config.items() if key not in (*REQUIRED, CONTENT)}
    try:
        class_path, init_args = migrate_class(config["class_path"], config["init_args"], folder)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{folder / CONFIG}: init_args are not those of a {config['class_path']}: {error!r}"
        ) from error
    not_covered = "" if covered else f"settings, dtypes and shapes (format {config['format']})"
    return Checkpoint(folder, class_path, init_args, migrate_weights(state_dict), extra, found, not_covered)


def _read_config(path: Path) -> dict:
    """The settings of a checkpoint, each field of its kind; ValueError names what is not."""
    config = read_json(path)
    missing = [key for key in REQUIRED if key not in config]
    if missing:
        raise ValueError(f"{path} does not describe a checkpoint: it lacks {', '.join(missing)}")
    version = config["format"]
    if type(version) is not int or version not in READABLE:
        raise ValueError(
            f"{path} has format {str(version)[:80]}, but this version of racing_vpt reads {READABLE}; update it"
        )
    if not isinstance(config["class_path"], str) or not isinstance(config["init_args"], dict):
        raise ValueError(
            f"{path}: class_path should be a name and init_args options by name, but they are "
            f"{str(config['class_path'])[:80]!r} and {str(config['init_args'])[:80]}"
        )
    if version not in NOT_COVERED and not isinstance(config.get(CONTENT), str):
        raise ValueError(f"{path} lacks {CONTENT}, which format {version} has")
    return config
