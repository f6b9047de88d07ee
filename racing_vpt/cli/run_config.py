"""`config.yaml` of a run folder."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from racing_vpt.files import write_text


class SaveConfig(SaveConfigCallback):
    """Writes the options of a run atomically: a full disk leaves those of the run that is continued."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Called by the first process; the run folder is the trainer's root."""
        write_text(
            Path(trainer.default_root_dir) / self.config_filename, self.parser.dump(self.config, skip_none=False)
        )
