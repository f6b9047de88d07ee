"""A checkpoint from the Hugging Face Hub: our folder of safetensors, settings and card, and never a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from racing_vpt.checkpoints.folder import CARD, CONFIG, REQUIRED, WEIGHTS
from racing_vpt.files import read_json
from racing_vpt.hub.fetch import Listed, fetch, pin
from racing_vpt.hub.names import RepoName, parse

PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle", ".model", ".weights", ".npy", ".joblib")
LARGEST_CONFIG = 1 << 24  # bytes; ours have about 1 << 13


def fetch_checkpoint(name: str | Path) -> Path:
    """Folder of the checkpoint that `hf:OWNER/NAME[@REVISION]` names, fetched unless the cache has it.

    Raises:
        FileNotFoundError: there is no such repository or revision.
        ValueError: it holds no checkpoint of ours, or pickles only, or what came is not what is listed.
        ConnectionError: the Hub does not answer, and the cache does not have it.
    """
    found = pin(parse(name, "model"))
    settings = fetch(found, lambda listed: _settings(found, listed))
    lacking = [key for key in REQUIRED if key not in read_json(settings / CONFIG)]
    if lacking:  # before weights are fetched that cannot be used
        raise ValueError(
            f"{found} is not a checkpoint of racing-vpt: its {CONFIG} lacks {', '.join(lacking)}; give one that "
            "racing-vpt push wrote"
        )
    return fetch(found, lambda listed: [WEIGHTS, CONFIG, *({CARD} & listed.keys())])


def pinned_name(name: str | Path) -> str:
    """`hf:OWNER/NAME@COMMIT`."""
    return str(pin(parse(name, "model")))


def _settings(name: RepoName, listed: Mapping[str, Listed]) -> list[str]:
    """The file of settings, if these are the files of a checkpoint."""
    pickles = [path for path in listed if PurePosixPath(path).suffix.lower() in PICKLES]
    if WEIGHTS not in listed and pickles:
        raise ValueError(
            f"{name} holds weights as pickles only ({', '.join(pickles[:3])}), which are not opened, since a pickle "
            "can run a program; ask its owner for safetensors, written with: racing-vpt push RUN hf:OWNER/NAME"
        )
    lacking = [file for file in (WEIGHTS, CONFIG) if file not in listed]
    if lacking:
        there = ", ".join(sorted(listed)[:5]) or "nothing"
        raise ValueError(
            f"{name} is not a checkpoint of racing-vpt: it lacks {' and '.join(lacking)}, and holds {there}; give one "
            "that racing-vpt push wrote"
        )
    if listed[CONFIG].size > LARGEST_CONFIG:
        raise ValueError(f"{name}: {CONFIG} has {listed[CONFIG].size} bytes; settings have up to {LARGEST_CONFIG}")
    return [CONFIG]
