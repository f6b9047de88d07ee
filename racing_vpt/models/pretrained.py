"""Loads a language model's blocks from a local folder, without downloading or unpickling anything."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from racing_vpt.nn.pretrained_blocks import PretrainedBlocks


def language_model_blocks(folder: str | Path, window: int, step_tokens: int, weights: bool) -> PretrainedBlocks:
    """The blocks of a causal language model as transformers' `save_pretrained` writes it.

    Args:
        folder: with config.json, and model.safetensors where weights are wanted.
        window: steps that are kept, the current one included.
        step_tokens: tokens of a step.
        weights: load the weights too; otherwise they are random.

    Raises:
        FileNotFoundError: there is no such folder, or it lacks a file.
        ValueError: transformers is not installed, or it cannot read the folder.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"{folder} has no config.json; give the folder of a causal language model as transformers saves it "
            "(config.json and model.safetensors)"
        )
    if weights and not list(folder.glob("*.safetensors")):
        raise FileNotFoundError(f"{folder} has no *.safetensors; save the model with safe_serialization=True")
    try:
        from transformers import AutoConfig, AutoModelForCausalLM
    except ModuleNotFoundError as error:
        raise ValueError("a language model's blocks need transformers: pip install '.[transformers]'") from error
    try:
        if weights:
            model = AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype="float32"
            )
        else:
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False, dtype="float32")
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"transformers cannot read a causal language model from {folder}: {error}") from error
    decoder: nn.Module = model.base_model
    return PretrainedBlocks(decoder, window, step_tokens)
