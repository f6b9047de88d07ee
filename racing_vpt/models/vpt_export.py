"""Converts a module of ours to OpenAI's files: the settings of a `.model` and the tensors of a `.weights`.

Keys, shapes and dtypes are those of the public files (Video-Pre-Training, MIT licence), whose code takes the settings
as keyword arguments and loads the tensors by name.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from racing_vpt.files import published
from racing_vpt.models.idm import IDM
from racing_vpt.models.vpt import VPT
from racing_vpt.nn.sizes import NetSize
from racing_vpt.types import FrameSpec

PIXELS = 128  # rows and columns to which the original resizes every frame
THEIRS = ("net.", "pi_head.", "value_head.")


def original_files(module: nn.Module, name: str) -> tuple[dict, dict[str, Tensor]]:
    """Contents of the `.model` and the `.weights` file of a module; `name` is the checkpoint's, for messages.

    Raises:
        ValueError: the original could not load it; all reasons are given.
    """
    if not isinstance(module, VPT | IDM):
        raise ValueError(f"{name} holds a {type(module).__name__}; OpenAI's files hold policies (VPT) and IDMs")
    reasons = list(hindrances(module))
    if reasons:
        raise ValueError(f"{name} cannot be written as OpenAI's files: {'; '.join(reasons)}")
    tensors = {key: x.detach().cpu().float() for key, x in module.state_dict().items() if key.startswith(THEIRS)}
    own = module.pi_head.temperature
    temperature = fold_temperatures(module, tensors) if isinstance(module, IDM) else float(own)
    arguments = {"net": {"args": net_arguments(module.net.size)}, "pi_head_opts": {"temperature": temperature}}
    return {"model": {"args": arguments}}, {key: x.clone().contiguous() for key, x in tensors.items()}


def hindrances(module: VPT | IDM) -> Iterator[str]:
    """Reasons why the original could not load the module, or would feed it other frames than it was trained on."""
    size, frames, scheme = module.net.size, module.frames, module.scheme
    wanted = "minecraft" if isinstance(module, VPT) else "minecraft:factored"
    if scheme.name != wanted:
        heads = ", ".join(f"{name} {classes}" for name, classes in scheme.num_classes.items())
        theirs = "buttons 8641 and camera 121" if isinstance(module, VPT) else "20 buttons and 2 camera axes"
        yield f"its controls are those of {scheme.name} ({heads}); the original has only Minecraft's ({theirs})"
    if (frames.height, frames.width) != (PIXELS, PIXELS):
        yield f"it sees {frames.height}x{frames.width} frames, and the original {PIXELS}x{PIXELS}"
    plain = FrameSpec(frames.height, frames.width)
    for option, value in (("fit", plain.fit), ("hide", ()), ("grey", False), ("stride", 1)):
        if getattr(frames, option) != value:
            yield f"its frames have {option} {getattr(frames, option)}, and the original's {value}"
    usual = NetSize(hidsize=1, attention_heads=1)
    for option in ("stem", "cnn_outsize", "conv3d_stride", "relative_window"):
        if getattr(size, option) != getattr(usual, option):
            yield f"its {option} is {getattr(size, option)}, and the original's {getattr(usual, option)}"
    if size.n_recurrence_layers < 1:
        yield "it has no transformer blocks"
    if isinstance(module, VPT):
        if module.stack.look_back != (0,):
            yield f"it looks back at frames {list(module.stack.look_back)}, and the original at one frame"
    elif module.senses is not None or module.network.close_heads or module.network.reach or not module.network.cnn:
        yield "it has senses of ours (view, motion, close_heads, reach, or no cnn)"
    elif size.conv3d_outchan is None:
        yield "it has no convolution over time"


def net_arguments(size: NetSize) -> dict[str, object]:
    """Keyword arguments of the original's network."""
    is_idm = size.conv3d_outchan is not None
    arguments: dict[str, object] = {
        "attention_heads": size.attention_heads,
        "attention_mask_style": "none" if is_idm else "clipped_causal",
        "attention_memory_size": size.attention_memory_size,
        "diff_mlp_embedding": False,
        "hidsize": size.hidsize,
        "img_shape": [PIXELS, PIXELS, size.conv3d_outchan if is_idm else 3],
        "impala_chans": list(size.impala_chans),
        "impala_kwargs": {"post_pool_groups": 1},
        "impala_width": size.impala_width,
        "init_norm_kwargs": {"batch_norm": False, "group_norm_groups": 1},
        "n_recurrence_layers": size.n_recurrence_layers,
        "only_img_input": True,
        "pointwise_ratio": size.pointwise_ratio,
        "pointwise_use_activation": False,
        "recurrence_is_residual": True,
        "recurrence_type": "transformer",
        "timesteps": size.timesteps,
        "use_pointwise_layer": True,
        "use_pre_lstm_ln": False,
    }
    if is_idm:
        kernel = list(size.conv3d_kernel)
        arguments["conv3d_params"] = {
            "inchan": 3, "outchan": size.conv3d_outchan, "kernel_size": kernel, "padding": [k // 2 for k in kernel],
        }  # fmt: skip
        arguments["single_output"] = True
    return arguments


def fold_temperatures(module: IDM, tensors: dict[str, Tensor]) -> float:
    """The single temperature of the original's IDM; if ours differ between controls, weights are divided by them."""
    temperatures = {name: float(x) * module.pi_head.temperature for name, x in module.temperatures.items()}
    if len(set(temperatures.values())) == 1:
        return next(iter(temperatures.values()))
    for pack, names in module.scheme.packs.items():
        scale = torch.tensor([temperatures[name] for name in names])
        for part in ("weight", "bias"):
            key = f"pi_head.{pack}.linear_layer.{part}"
            rows = tensors[key].unflatten(0, (len(names), -1))  # (controls, classes, ...)
            tensors[key] = (rows / scale.reshape(-1, *[1] * (rows.ndim - 1))).flatten(0, 1)
    return 1.0


def write_files(settings: dict, tensors: Mapping[str, Tensor], model: Path, weights: Path) -> None:
    """Write both files atomically, the settings last; FileExistsError where one is there already."""
    with published(weights, replace=False) as temporary:
        torch.save(dict(tensors), temporary)
    with published(model, replace=False) as temporary:
        temporary.write_bytes(pickle.dumps(settings, protocol=2))  # plain data; any Python reads it
