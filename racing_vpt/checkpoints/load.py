"""Loads checkpoints of all kinds.

A checkpoint is named by a run folder, a Lightning `.ckpt`, a folder of ours, `zoo:NAME`, `hf:OWNER/NAME[@REVISION]` on
the Hugging Face Hub, or OpenAI's `F.model` with `F.weights` beside it. Only tensors and plain data are unpickled, and
only classes of this package are built.
"""

import importlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from racing_vpt.checkpoints.fit_check import WeightsError, check_weights, no_larger_than, with_twins
from racing_vpt.checkpoints.folder import CONFIG, TRAINING_ONLY, Checkpoint, read_folder, save_checkpoint
from racing_vpt.checkpoints.hub_checkpoint import fetch_checkpoint, pinned_name
from racing_vpt.checkpoints.lightning_run import best_of_run, read_lightning
from racing_vpt.checkpoints.migrate import how_to_read
from racing_vpt.checkpoints.openai import read_openai
from racing_vpt.checkpoints.structured import structured_arguments
from racing_vpt.hub.names import is_hub

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule

ZOO = Path(__file__).parents[1] / "zoo"
KINDS = "a run folder, a .ckpt, a folder with config.json, zoo:NAME, hf:OWNER/NAME or OpenAI's F.model with F.weights"
LONGEST_SAID = 1000  # characters of what a file gives, in a message
logger = logging.getLogger(__name__)


def zoo_names() -> list[str]:
    """Names of the checkpoints shipped with the package."""
    return sorted(path.parent.name for path in ZOO.glob(f"*/{CONFIG}"))


def read_checkpoint(name: str | Path) -> Checkpoint:
    """Read a checkpoint; the top of this file lists the forms of `name`.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ValueError: it is damaged, or not a checkpoint.
        ConnectionError: the Hub does not answer, and the cache does not have it.
    """
    if str(name).startswith("zoo:"):
        wanted = str(name).removeprefix("zoo:")
        if wanted not in zoo_names():
            there = ", ".join(f"zoo:{known}" for known in zoo_names()) or "nothing"
            raise FileNotFoundError(f"{name} is not in the zoo, which holds {there}")
        return read_folder(ZOO / wanted)
    if is_hub(name):
        return read_folder(fetch_checkpoint(name))
    path = Path(name)
    if not path.exists():
        raise FileNotFoundError(f"checkpoint {name} does not exist; expected {KINDS}")
    if path.suffix == ".model":
        return read_openai(path)
    if path.suffix == ".ckpt":
        return read_lightning(path)
    if path.suffix == ".safetensors":
        return read_folder(path.parent)
    if path.suffix == ".weights":
        raise ValueError(f"{path} holds weights without settings; name the file {path.with_suffix('.model')} beside it")
    if (path / CONFIG).is_file():
        return read_folder(path)
    if (path / "checkpoints").is_dir():
        return read_lightning(best_of_run(path / "checkpoints"))
    raise ValueError(f"{path} is not a checkpoint; expected {KINDS}")


def load_module(
    name: str | Path, *, expected: str | None = None, device: torch.device | str = "cpu"
) -> "LightningModule":
    """Build the module that a checkpoint names and load its weights, in evaluation mode.

    Args:
        name: as `read_checkpoint` takes it.
        expected: required class, by name (`IDM`) or in full (`racing_vpt.models.idm.IDM`).
        device: device of the module.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ValueError: damaged, of another class, or weights that do not fit the module.
    """
    said = pinned_name(name) if is_hub(name) else str(name)
    return build_module(read_checkpoint(said), said, expected=expected, device=device)


def build_module(
    checkpoint: Checkpoint, name: str, *, expected: str | None = None, device: torch.device | str = "cpu"
) -> "LightningModule":
    """As `load_module`, for a checkpoint that was read; `name` is for messages and for files that the module writes."""
    held, foreign = checkpoint.class_path, "openai" in checkpoint.extra
    if expected is not None and expected not in (held, held.rsplit(".", 1)[-1]):
        raise ValueError(f"{name} holds a {held}, but {expected} is needed here; give a checkpoint of that class")
    module_class = _module_class(held, name)
    given = {key: value for key, value in checkpoint.init_args.items() if key not in TRAINING_ONLY}
    try:
        arguments = structured_arguments(module_class, given)
        with no_larger_than(checkpoint.state_dict, name):
            sketch = module_class(**arguments)
        check_weights(sketch, with_twins(sketch, checkpoint.state_dict), name, allow_extra=foreign)
        module = module_class(**arguments)
    except (WeightsError, ModuleNotFoundError):
        raise
    except Exception as error:  # the arguments are a file's, and may be anything
        raise ValueError(
            f"{name}: cannot build a {held} from its arguments {_shortly(given)}: {_shortly(error)}; if an older "
            f"version wrote it, {how_to_read()}"
        ) from error
    load_strictly(module, checkpoint.state_dict, name, allow_extra=foreign)
    setattr(module, "checkpoint_name", name)  # noqa: B010 - a label names who made it
    return module.to(device).eval()


def load_strictly(
    module: nn.Module, state_dict: Mapping[str, Tensor], name: str, *, allow_extra: bool = False, assign: bool = False
) -> None:
    """Load weights; ValueError lists missing and unexpected tensors and those of another shape.

    Args:
        module: the module.
        state_dict: all its tensors by name.
        name: name of the checkpoint, for messages.
        allow_extra: log a warning about unexpected tensors instead.
        assign: use the tensors themselves instead of copies; for a module on the meta device.
    """
    state_dict = with_twins(module, state_dict)
    unexpected = check_weights(module, state_dict, name, allow_extra=allow_extra)
    if unexpected:
        logger.warning("%s: not used: %s", name, ", ".join(unexpected))
    module.load_state_dict({key: state_dict[key] for key in module.state_dict()}, assign=assign)


def export_run(checkpoint_name: str | Path, folder: Path, card: str) -> Checkpoint:
    """Write a checkpoint in our format, with `card` as its README.md; returns it as read back.

    Weights that only training needs, such as target networks, are left out (a module lists them in `TWINS`).
    """
    checkpoint = read_checkpoint(checkpoint_name)
    twins = tuple(twin for twin, _ in getattr(_module_class(checkpoint.class_path, checkpoint_name), "TWINS", ()))
    weights = {key: tensor for key, tensor in checkpoint.state_dict.items() if not key.startswith(twins)}
    extra = {key: value for key, value in checkpoint.extra.items() if key != "fingerprint"}
    save_checkpoint(folder, checkpoint.class_path, checkpoint.init_args, weights, extra, card)
    return read_checkpoint(folder)


def _shortly(value: object) -> str:
    text = (str(value) or type(value).__name__).splitlines()[0]
    return text if len(text) < LONGEST_SAID else f"{text[:LONGEST_SAID]}..."


def _module_class(class_path: str, name: str | Path) -> "type[LightningModule]":
    from lightning.pytorch import LightningModule

    module_name, _, class_name = class_path.rpartition(".")
    if not module_name.startswith("racing_vpt."):
        raise ValueError(
            f"{name} names the class {class_path}; only classes of racing_vpt can be built from a checkpoint"
        )
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{name} names the class {class_path}, which this version of racing_vpt lacks: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, LightningModule)):
        raise ValueError(f"{name} names {class_path}, which is not a LightningModule")
    return found
