"""OpenAI VPT's pair of files, read without executing anything that is in them.

`F.model` is a pickle of nested dicts (the net's settings), `F.weights` a state dict of torch. A pickle is a program;
this reader lets it build containers, numbers and texts, and refuses every other name that it asks for.
"""

import io
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
import torch
from torch import Tensor

from racing_vpt.checkpoints.folder import Checkpoint, fingerprint
from racing_vpt.controls import control_scheme

LARGEST_MODEL = 16 * 2**20  # bytes; the public files have about a thousand
CONTAINERS = {"dict": dict, "list": list, "set": set, "frozenset": frozenset, "tuple": tuple}
SCALAR_TYPE = re.compile(r"[<>=|]?([biuf][1248]|[SU]\d{1,4})")

MINECRAFT_FRAMES = {"resize": "linear", "mask_bottom": 0.0, "frames_per_second": 20.0}

# what the network of this project computes; a file that asks for anything else cannot be run with it
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
    """What a `.model` file says, in this project's words; `size` are the arguments of `nn.sizes.NetSize`."""

    kind: Literal["policy", "idm"]
    size: dict[str, int | list[int]]
    height: int
    width: int
    temperature: float


class RefusedNameError(ValueError):
    """A pickle asked for something that is no plain data."""


def safe_names() -> dict[tuple[str, str], object]:
    """The names that a `.model` may ask for, and harmless stand-ins for what they are.

    Made anew for each file: a pickle can write attributes to what it is given.
    """

    class Dtype:
        """A numpy dtype in name only."""

        def __init__(self, name: str, *_: object) -> None:
            if not isinstance(name, str) or not SCALAR_TYPE.fullmatch(name):
                raise RefusedNameError(f"a numpy scalar of type {name!r}")
            self.name, self.order = name.lstrip("<>=|"), "="

        def __setstate__(self, state: tuple) -> None:
            if state[1] not in ("<", ">", "=", "|"):
                raise RefusedNameError(f"a numpy scalar of byte order {state[1]!r}")
            self.order = state[1]

    def scalar(dtype: Dtype, data: bytes | str = b"") -> object:
        raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
        return np.frombuffer(raw, dtype=np.dtype(dtype.order + dtype.name), count=1)[0].item()

    def encode(text: str, encoding: str = "latin1") -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise RefusedNameError(f"_codecs.encode to {encoding!r}")
        return text.encode("latin1")

    names: dict[tuple[str, str], object] = {("collections", "OrderedDict"): OrderedDict, ("_codecs", "encode"): encode}
    for module in ("builtins", "__builtin__"):
        names |= {(module, name): container for name, container in CONTAINERS.items()}
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        names[module, "scalar"] = scalar
    return names | {("numpy", "dtype"): Dtype}


class PlainUnpickler(pickle.Unpickler):
    """Builds plain data; any other name raises `RefusedNameError`."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.names = safe_names()

    def find_class(self, module: str, name: str) -> object:  # type: ignore[override]
        if (module, name) not in self.names:
            raise RefusedNameError(f"{module}.{name}")
        return self.names[module, name]


def read_openai_model(path: Path) -> dict:
    """The nested dicts of a `.model` file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it asks for a name that is no plain data, or is no whole pickle of a dict.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; an OpenAI model is a pair of files, F.model and F.weights")
    if path.stat().st_size > LARGEST_MODEL:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; a .model file is small: is this the .weights file?")
    data = path.read_bytes()
    try:
        for operation, argument, _ in pickletools.genops(data):  # walks the whole file and executes nothing
            if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(argument or 0) <= len(data):
                raise ValueError(f"memo number {argument} in {len(data)} bytes")
        model = PlainUnpickler(data).load()
    except RefusedNameError as error:
        raise ValueError(f"{path} is refused: it asks for {error}, which is no plain data; nothing was run") from error
    except Exception as error:  # a damaged pickle fails in as many ways as it has bytes
        raise ValueError(f"{path} is no whole pickle ({error}); half a download? fetch it again") from error
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
    weights = load_tensors(path)
    foreign = [str(key) for key, value in weights.items() if not isinstance(value, Tensor)]
    if foreign:
        raise ValueError(f"{path} should hold tensors by name, but {', '.join(foreign[:5])} are none")
    return weights


def load_tensors(path: Path) -> dict:
    """A dict that torch saved, read by `weights_only`; ValueError says why where it is not readable."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = " ".join(str(error).split())
        name = re.search(r"GLOBAL ([\w.]+)", reason)
        asked = f"it asks for {name[1]}" if name else reason[:200]
        raise ValueError(
            f"{path} is refused: {asked}; only tensors and plain data are read from a checkpoint"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "memory" in str(error):
            gib = path.stat().st_size / 2**30
            raise ValueError(
                f"{path} needs {gib:.1f} GiB of free memory to be read; this machine has not so much"
            ) from error
        raise ValueError(f"{path} is no whole torch file ({error}); half a download or a stopped save?") from error
    except Exception as error:  # torn files raise EOFError, OSError, ValueError and more
        raise ValueError(f"{path} is no whole torch file ({error}); half a download or a stopped save?") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{path} holds a {type(loaded).__name__}, expected a dict of tensors by name")
    return loaded


def openai_settings(model: Mapping, path: Path) -> OpenAISettings:
    """What a `.model` file describes, checked; `path` is for messages.

    Raises:
        ValueError: a setting is missing, or one that this network does not have.
    """
    try:
        net, head = model["model"]["args"]["net"]["args"], model["model"]["args"].get("pi_head_opts", {})
        temperature = float(head.get("temperature", 1.0))
        missing = [name for name in REQUIRED if name not in net]
        conv3d = net.get("conv3d_params")
        height, width = net.get("img_shape", (128, 128, 3))[:2]
        mask = net.get("attention_mask_style", "clipped_causal")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f'{path} lacks ["model"]["args"]["net"]["args"] or has a temperature that is no number ({error!r}): '
            "it is no OpenAI VPT .model file"
        ) from error
    if missing:
        raise ValueError(f"{path}: the net's settings lack {', '.join(missing)}; they have {', '.join(sorted(net))}")
    for name, expected in ONLY.items():
        if net.get(name, expected) != expected:
            raise ValueError(f"{path}: {name} is {net[name]!r}, but only {expected!r} can be run here")
    if mask not in ("none", "clipped_causal") or (mask == "none") != bool(conv3d):
        raise ValueError(
            f"{path}: attention_mask_style {mask!r} with conv3d_params {conv3d!r}; a policy has 'clipped_causal' and "
            "no conv3d_params, an inverse dynamics model has 'none' and conv3d_params"
        )
    size: dict[str, int | list[int]] = {name: int(net[name]) for name in REQUIRED}
    size["impala_width"] = int(net.get("impala_width", 1))
    size["impala_chans"] = [int(c) for c in net.get("impala_chans", (16, 32, 32))]
    size["pointwise_ratio"] = int(net.get("pointwise_ratio", 4))
    if conv3d:
        kernel = [int(k) for k in conv3d["kernel_size"]]
        if [int(p) for p in conv3d["padding"]] != [k // 2 for k in kernel] or conv3d.get("inchan", 3) != 3:
            raise ValueError(
                f"{path}: conv3d_params {conv3d!r}; only 3 channels in and padding by half the kernel work"
            )
        size |= {"conv3d_outchan": int(conv3d["outchan"]), "conv3d_kernel": kernel}
    kind: Literal["policy", "idm"] = "idm" if conv3d else "policy"
    return {"kind": kind, "size": size, "height": int(height), "width": int(width), "temperature": temperature}


def read_openai(path: Path) -> Checkpoint:
    """OpenAI's pair of files; `path` is the `.model`, the `.weights` lie beside it.

    What our modules keep beside the network is added: class counts, and an IDM's temperatures.
    """
    settings = openai_settings(read_openai_model(path), path)
    state_dict = read_openai_weights(path.with_suffix(".weights"))
    is_policy = settings["kind"] == "policy"
    arguments: dict[str, object] = {
        "frames": {"height": settings["height"], "width": settings["width"], **MINECRAFT_FRAMES},
        "scheme": "minecraft" if is_policy else "minecraft-factored",
        "size": settings["size"],
    }
    temperature = settings["temperature"]
    for head, num_classes in control_scheme(str(arguments["scheme"])).num_classes.items():
        state_dict[f"class_counts_{head}"] = torch.zeros(num_classes)
        if not is_policy:
            state_dict[f"temperature_{head}"] = torch.tensor(temperature)
    if is_policy:
        arguments["temperature"] = temperature
    class_path = "racing_vpt.models.vpt.VPT" if is_policy else "racing_vpt.models.idm.IDM"
    return Checkpoint(path, class_path, arguments, state_dict, {"openai": path.name}, fingerprint(state_dict))
