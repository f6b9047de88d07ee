"""Our checkpoint format: a folder of `model.safetensors`, `config.json` and a model card, `README.md`."""

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
from racing_vpt.files import Draft, check_free, publish_together

FORMAT = 2  # 1: flat options of models (`migrate.py`)
READABLE = (1, 2)
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
FILES = (WEIGHTS, CONFIG, CARD)
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
    """

    path: Path
    class_path: str
    init_args: dict
    state_dict: dict[str, Tensor] = field(repr=False)
    extra: dict
    fingerprint: str


def fingerprint(state_dict: Mapping[str, Tensor]) -> str:
    """First 16 hexadecimal digits of the sha256 over the sorted tensors' names and bytes."""
    digest = hashlib.sha256()
    for name in sorted(state_dict):
        digest.update(name.encode())
        digest.update(state_dict[name].detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


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
    config = {
        "format": FORMAT, "class_path": class_path, "init_args": arguments,
        "fingerprint": fingerprint(tensors), **(extra or {}),
    }  # fmt: skip
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
    try:
        config = json.loads((folder / CONFIG).read_text())
        class_path, init_args, version = config.pop("class_path"), config.pop("init_args"), config.pop("format")
        recorded = config.pop("fingerprint")
        state_dict = load_file(folder / WEIGHTS)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, AttributeError) as error:
        raise ValueError(f"{folder / CONFIG} does not describe a checkpoint: {error!r}") from error
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is not a complete safetensors file: {error}") from error
    if version not in READABLE:
        raise ValueError(f"{folder} has format {version}, but this version of racing_vpt reads {READABLE}; update it")
    found = fingerprint(state_dict)
    if found != recorded:
        raise ValueError(f"{folder}: the weights' fingerprint is {found}, but {CONFIG} belongs to {recorded}")
    class_path, init_args = migrate_class(class_path, init_args, folder)
    return Checkpoint(folder, class_path, init_args, migrate_weights(state_dict), config, found)
