"""Opens the store of a path: shards or plain recordings."""

from __future__ import annotations

from pathlib import Path

from racing_vpt.data.hub_data import at_hand, folder_at_hand
from racing_vpt.data.manifest import MANIFEST, PACK_HINT, read_manifest
from racing_vpt.data.pairing import pair_recordings, split_episodes
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
    """Open the store of a path's split.

    Args:
        path: folder or URL of shards, folder of recordings, or `hf:OWNER/NAME[@REVISION]` with either.
        split: `train` or `val`.
        val_fraction: fraction of plain recordings in `val`; None: all recordings belong to this split.
        seed: seed of the split of plain recordings.
        labels: folder of labels that replace the controls of plain recordings.
        decoder: decoding library.
        remote: options for a URL.

    Returns:
        The store, or None if a path used for both splits has no episodes for validation.

    Raises:
        FileNotFoundError: there is nothing to read.
        ValueError: the shards are damaged, or lack the split.
    """
    path, labels = at_hand(path), labels and folder_at_hand(labels)
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
    episodes = pair_recordings(Path(path), labels)
    if val_fraction is not None:
        splits = split_episodes([episode.drive for episode in episodes], val_fraction, seed)
        episodes = [episode for episode, where in zip(episodes, splits, strict=True) if where == split]
    return RecordingStore(episodes, decoder) if episodes else None
