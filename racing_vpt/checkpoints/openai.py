"""Reads OpenAI VPT's pair of files without executing anything in them.

`F.model` is a pickle of nested dicts (the network's settings), `F.weights` a state dict of torch. See
`plain_pickle.py` for what the pickle may contain.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypedDict

import torch
from torch import Tensor

from racing_vpt.checkpoints.folder import Checkpoint, fingerprint
from racing_vpt.checkpoints.plain_names import RefusedNameError
from racing_vpt.checkpoints.plain_pickle import load_plain
from racing_vpt.checkpoints.torch_file import ZIP, load_tensors
from racing_vpt.free_memory import require_memory
from racing_vpt.games.read import load_game

LARGEST_MODEL = 2**20  # bytes; the public files have about a thousand
LARGEST_WIDTH = 2**16  # upper limit of every number in the settings

MINECRAFT_FRAMES = {"resize": "linear", "frames_per_second": 20.0}

# settings of the network that this project implements; files with other values cannot be run
ONLY: dict[str, object] = {
    "recurrence_type": "transformer",
    "recurrence_is_residual": True,
    "use_pointwise_layer": True,
    "pointwise_use_activation": False,
    "use_pre_lstm_ln": False,
    "only_img_input": True,
    "diff_mlp_embedding": False,
    "impala_kwargs": {"post_pool_groups": 1},
    "init_norm_kwargs": {"batch_norm": False, "group_norm_groups": 1},
}
REQUIRED = ("hidsize", "attention_heads", "n_recurrence_layers", "attention_memory_size", "timesteps")


class OpenAISettings(TypedDict):
    """Settings of a `.model` file under this project's names; `size` are the arguments of `nn.sizes.NetSize`."""

    kind: Literal["policy", "idm"]
    size: dict[str, int | list[int]]
    height: int
    width: int
    temperature: float


def read_openai_model(path: Path) -> dict:
    """The nested dicts of a `.model` file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it asks for something other than plain data, or is not a complete pickle of a dict.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; an OpenAI model is a pair of files, F.model and F.weights")
    if path.stat().st_size > LARGEST_MODEL:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; a .model file is small: is this the .weights file?")
    data = path.read_bytes()
    if data.startswith(ZIP):
        raise ValueError(f"{path} is a torch file, not a .model file: were .model and .weights exchanged?")
    try:
        model = load_plain(data)
    except RefusedNameError as error:
        raise ValueError(
            f"{path} is refused: it asks for {error}, which is not plain data; nothing was executed"
        ) from error
    except Exception as error:  # a damaged pickle can raise any error
        raise ValueError(
            f"{path} is not a complete pickle ({error}); was the download interrupted? fetch it again"
        ) from error
    if not isinstance(model, dict):
        raise ValueError(f"{path} holds a {type(model).__name__}, expected the dict of an OpenAI .model file")
    return model


def read_openai_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.weights` file by name, on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it holds anything but tensors, or is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; an OpenAI model is a pair of files, F.model and F.weights")
    require_memory(2 * path.stat().st_size, f"{path}, read and built into a network,")
    weights = load_tensors(path)
    for key, value in weights.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ValueError(f"{path} should hold tensors by name, but {key} is a {type(value).__name__}")
        whole = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
        if not whole or value.untyped_storage().nbytes() < value.numel() * value.element_size():
            raise ValueError(
                f"{path}: {key} {tuple(value.shape)} is not a plain tensor with all its numbers in the file"
            )
    return weights


def openai_settings(model: Mapping, path: Path) -> OpenAISettings:
    """Validated settings of a `.model` file; `path` is for messages.

    Raises:
        ValueError: a setting is missing, or not supported by this network.
    """
    try:
        net, head = model["model"]["args"]["net"]["args"], model["model"]["args"].get("pi_head_opts", {})
        temperature = float(head.get("temperature", 1.0))
        missing = [name for name in REQUIRED if name not in net]
        conv3d = net.get("conv3d_params")
        height, width = (int(n) for n in net.get("img_shape", (128, 128, 3))[:2])
        mask = net.get("attention_mask_style", "clipped_causal")
        size: dict[str, int | list[int]] = {name: int(net[name]) for name in REQUIRED if name in net}
        size |= {"impala_width": int(net.get("impala_width", 1)), "pointwise_ratio": int(net.get("pointwise_ratio", 4))}
        size["impala_chans"] = [int(c) for c in net.get("impala_chans", (16, 32, 32))]
        if conv3d:
            kernel, padding = ([int(n) for n in conv3d[name]] for name in ("kernel_size", "padding"))
            size |= {"conv3d_outchan": int(conv3d["outchan"]), "conv3d_kernel": kernel}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(
            f'{path} lacks ["model"]["args"]["net"]["args"], or has a temperature or size that is not a number '
            f"({error!r}): not an OpenAI VPT .model file"
        ) from error
    if not 0 < temperature < math.inf:
        raise ValueError(f"{path}: temperature must be a number above 0, but is {temperature}")
    numbers = [n for value in size.values() for n in (value if isinstance(value, list) else [value])]
    if not all(0 < n <= LARGEST_WIDTH for n in [*numbers, height, width]):
        raise ValueError(f"{path}: sizes are 1 to {LARGEST_WIDTH}, but it has {size} and frames of {height}x{width}")
    if missing:
        raise ValueError(
            f"{path}: the net's settings lack {', '.join(missing)}; they have {', '.join(sorted(map(str, net)))}"
        )
    for name, expected in ONLY.items():
        if net.get(name, expected) != expected:
            raise ValueError(f"{path}: {name} is {net[name]!r}, but only {expected!r} can be run here")
    if mask not in ("none", "clipped_causal") or (mask == "none") != bool(conv3d):
        raise ValueError(
            f"{path}: attention_mask_style {mask!r} with conv3d_params {conv3d!r}; a policy has 'clipped_causal' and "
            "no conv3d_params, an inverse dynamics model has 'none' and conv3d_params"
        )
    if conv3d and (padding != [k // 2 for k in kernel] or conv3d.get("inchan", 3) != 3):
        raise ValueError(f"{path}: conv3d_params {conv3d!r}; only 3 channels in and padding by half the kernel work")
    kind: Literal["policy", "idm"] = "idm" if conv3d else "policy"
    return {"kind": kind, "size": size, "height": height, "width": width, "temperature": temperature}


def read_openai(path: Path, weights: Path | None = None) -> Checkpoint:
    """Read OpenAI's pair of files; `path` is the `.model`, with the `.weights` beside it unless given.

    Buffers that our modules have beside the network are added: class counts, and an IDM's temperatures.
    """
    settings = openai_settings(read_openai_model(path), path)
    state_dict = read_openai_weights(weights or path.with_suffix(".weights"))
    is_policy = settings["kind"] == "policy"
    arguments: dict[str, object] = {
        "game": "minecraft",
        "frames": {"height": settings["height"], "width": settings["width"], **MINECRAFT_FRAMES},
        "network": {"size": settings["size"]},
    }
    temperature = settings["temperature"]
    for head, num_classes in load_game("minecraft").scheme(kind="policy" if is_policy else "idm").num_classes.items():
        state_dict[f"class_counts_{head}"] = torch.zeros(num_classes)
        if not is_policy:
            state_dict[f"temperature_{head}"] = torch.tensor(temperature)
    if is_policy:
        arguments["network"] = {"size": settings["size"], "temperature": temperature}
    class_path = "racing_vpt.models.vpt.VPT" if is_policy else "racing_vpt.models.idm.IDM"
    return Checkpoint(path, class_path, arguments, state_dict, {"openai": path.name}, fingerprint(state_dict))
