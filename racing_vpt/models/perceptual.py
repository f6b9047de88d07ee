"""Perceptual losses from our own networks, so that nothing is downloaded."""

from __future__ import annotations

from typing import cast

from torch import nn

from racing_vpt.nn.picture_losses import PerceptualLoss


def perceptual_loss(name: str) -> PerceptualLoss:
    """A perceptual loss on the CNN of a policy, or on the encoder of a VAE or a tokenizer.

    Features of a policy contain what matters for driving; `zoo:vpt-carracing` comes with the package. A policy that
    stacks several frames is given copies of the same one.

    Args:
        name: as `read_checkpoint` takes it.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ValueError: it holds none of these.
    """
    from racing_vpt.checkpoints.load import build_module, read_checkpoint

    checkpoint = read_checkpoint(name)
    kind = checkpoint.class_path.rsplit(".", 1)[-1]
    if kind not in ("VPT", "VAE", "Tokenizer"):
        raise ValueError(
            f"perceptual {name} holds a {checkpoint.class_path}, but features are taken of a VPT, a VAE or a "
            "Tokenizer, such as zoo:vpt-carracing"
        )
    module = build_module(checkpoint, name)
    if kind == "VPT":
        net = cast(nn.Module, module.net)
        cnn = cast(nn.Module, cast(nn.Module, net.img_process).cnn)
        stem = [cnn.stem] if cnn.stem is not None else []
        return PerceptualLoss([*stem, *cnn.stacks], repeat=cast(int, net.channels) // 3)  # type: ignore[list-item,misc]
    encoder = cast(nn.Sequential, cast(nn.Module, module.net).encoder)
    if kind == "VAE":  # convolution and ReLU in turn
        return PerceptualLoss([encoder[at : at + 2] for at in range(0, len(encoder), 2)])
    ends = [at for at, layer in enumerate(encoder) if isinstance(layer, nn.Conv2d)]  # where a side begins
    return PerceptualLoss([encoder[a:b] for a, b in zip([0, *ends[1:]], ends[1:], strict=False)])
