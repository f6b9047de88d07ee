"""Atomic checkpoint writing that keeps the previous version.

Lightning writes a checkpoint to the system's temporary folder and moves it; across file systems that is a copy, and
3 of 14 runs killed while saving left a broken file. Here the temporary file is in the same folder, is synced, and
is renamed. The file that it replaces stays as `NAME.ckpt.previous`, so that a disk error in one file still leaves
the save before.
"""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from racing_vpt.checkpoints.integrity import PREVIOUS, non_finite
from racing_vpt.checkpoints.migrate import migrate_training
from racing_vpt.files import give_second_name, published
from racing_vpt.free_memory import give_back_memory


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file, syncs it and renames it; remote paths are left to Lightning."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        """Write `checkpoint` to `path`; if the process is killed meanwhile, the previous file stays.

        Raises:
            ValueError: weights or optimizer state contain NaN or infinity; the message names them.
            OSError: the disk is full or the folder is read-only; the previous file is untouched.
        """
        bad = list(non_finite(checkpoint))
        if bad:
            more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
            raise ValueError(
                f"{path} is not written: {', '.join(bad[:3])}{more} contain NaN or infinity; the previous checkpoint "
                "is untouched: lower the learning rate and continue with --ckpt_path last"
            )
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        try:
            with published(target) as temporary:
                torch.save(checkpoint, temporary)
                if target.is_file():
                    give_second_name(target, target.with_name(f"{target.name}{PREVIOUS}"))
        except (OSError, RuntimeError) as error:  # torch raises RuntimeError when the disk is full
            raise _not_written(target, error) from error
        give_back_memory()  # at regular intervals; saving is merely a convenient moment

    def load_checkpoint(
        self, path: str | Path, map_location: Callable | None = lambda storage, _: storage,
        weights_only: bool | None = True,
    ) -> dict[str, Any]:  # fmt: skip
        """Read a checkpoint of this or an earlier version. Only tensors and plain data are unpickled."""
        return migrate_training(super().load_checkpoint(path, map_location, weights_only=True))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint and its previous version."""
        super().remove_checkpoint(path)
        Path(f"{path}{PREVIOUS}").unlink(missing_ok=True)


def _not_written(target: Path, error: OSError | RuntimeError) -> OSError:
    """OSError that says what to do."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else "torch could not write the whole file"
    folder = next((folder for folder in target.parents if folder.is_dir()), Path("."))
    free = shutil.disk_usage(folder).free / 2**20
    number = error.errno if isinstance(error, OSError) and error.errno else errno.ENOSPC
    before = "the previous checkpoint is untouched" if target.is_file() else "there is no previous checkpoint"
    return OSError(
        number,
        f"{target} could not be written ({why}; {free:.0f} MiB free); {before}: free space or give permission, and "
        "continue with --ckpt_path last",
    )
