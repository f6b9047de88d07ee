"""A path to the store that reads it: shards or plain recordings."""

from __future__ import annotations

from pathlib import Path

from racing_vpt.data.episodes import find_episodes, split_episodes
from racing_vpt.data.manifest import MANIFEST, PACK_HINT, read_manifest
from racing_vpt.data.remote import Remote, RemoteFiles, is_remote
from racing_vpt.data.shards import ShardStore
from racing_vpt.data.store import RecordingStore, Store
from racing_vpt.video.decode import Decoder


def open_store(
    path: str,
    split: str,
    val_fraction: float | None,
    seed: int,
    labels: Path | None,
    decoder: Decoder,
    remote: Remote | None = None,
) -> Store | None:
    """The store of a path's split.

    Args:
        path: folder or URL of shards, or folder of recordings.
        split: `train` or `val`.
        val_fraction: of plain recordings; None: the path serves this split alone, so all its recordings do.
        seed: of the split of plain recordings.
        labels: folder of labels that take the place of recorded controls; of plain recordings.
        decoder: which library decodes.
        remote: how a URL is read.

    Returns:
        The store, or None where a path that serves both splits has no episodes to validate with.

    Raises:
        FileNotFoundError: there is nothing to read.
        ValueError: the shards are damaged, or lack the split.
    """
    if is_remote(path) or (Path(path) / MANIFEST).is_file():
        manifest = read_manifest(path, RemoteFiles(remote))
        if labels is not None:
            raise ValueError(
                f"{path} is packed already; give the labels when packing: racing-vpt pack --labels {labels}"
            )
        if val_fraction is not None and split == "val" and split not in manifest["splits"]:
            return None
        return ShardStore(path, split, decoder, remote)
    if any(Path(path).glob("*.tar")):
        raise FileNotFoundError(f"{path} holds shards but no {MANIFEST}: packing was not finished; {PACK_HINT}")
    episodes = find_episodes(Path(path), labels)
    if val_fraction is not None:
        splits = split_episodes([episode.name for episode in episodes], val_fraction, seed)
        episodes = [episode for episode, where in zip(episodes, splits, strict=True) if where == split]
    return RecordingStore(episodes, decoder) if episodes else None
