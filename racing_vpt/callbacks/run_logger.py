"""TensorBoard's logger of a run folder."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.core.saving import save_hparams_to_yaml
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from racing_vpt.files import published


class RunLogger(TensorBoardLogger):
    """Lightning's logger, but `hparams.yaml` is written atomically: half a file would never be replaced."""

    @rank_zero_only
    def save(self) -> None:
        """Write the hyperparameters, if they are not there yet."""
        path = Path(self.log_dir) / self.NAME_HPARAMS_FILE
        if path.parent.is_dir() and not path.is_file():
            with published(path) as temporary:
                save_hparams_to_yaml(temporary, self.hparams)
        super().save()
