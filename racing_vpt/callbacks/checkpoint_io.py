"""Checkpoints that are whole or absent, and of which the one before is still there.

Lightning writes a checkpoint to the system's temporary folder and moves it; across file systems that is a copy, and
of 14 runs killed while saving 3 left a broken file. Here the temporary file lies in the same folder, is synced, and
is renamed. What stood under the name before stays as `NAME.ckpt.previous`, so that a disk that loses a file loses one
save of two.
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
    """Writes a checkpoint beside its final name, syncs it to disk and renames it; remote paths as Lightning does."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        """Write `checkpoint` to `path`; a process killed meanwhile leaves what stood there before.

        Raises:
            ValueError: weights or optimizer hold NaN or infinity; it names them.
            OSError: there is no room, or no permission; what stood there is untouched.
        """
        bad = list(non_finite(checkpoint))
        if bad:
            more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
            raise ValueError(
                f"{path} is not written: {', '.join(bad[:3])}{more} hold NaN or infinity; the checkpoint before is "
                "untouched: lower the learning rate and continue with --ckpt_path last"
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
        except (OSError, RuntimeError) as error:  # torch says RuntimeError where the disk is full
            raise _not_written(target, error) from error
        give_back_memory()  # now and then; that it is after saving has no other reason

    def load_checkpoint(
        self, path: str | Path, map_location: Callable | None = lambda storage, _: storage,
        weights_only: bool | None = True,
    ) -> dict[str, Any]:  # fmt: skip
        """Read a checkpoint of tensors and plain data, of an earlier version too; nothing else is unpickled."""
        return migrate_training(super().load_checkpoint(path, map_location, weights_only=True))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint that is no longer wanted, and the one before it."""
        super().remove_checkpoint(path)
        Path(f"{path}{PREVIOUS}").unlink(missing_ok=True)


def _not_written(target: Path, error: OSError | RuntimeError) -> OSError:
    """The error with what to do about it."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else "torch could not write all of it"
    folder = next((folder for folder in target.parents if folder.is_dir()), Path("."))
    free = shutil.disk_usage(folder).free / 2**20
    number = error.errno if isinstance(error, OSError) and error.errno else errno.ENOSPC
    before = "the checkpoint before is untouched" if target.is_file() else "there is none before it"
    return OSError(
        number,
        f"{target} could not be written ({why}; {free:.0f} MiB free); {before}: make room or give permission, and "
        "continue with --ckpt_path last",
    )
