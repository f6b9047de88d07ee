"""What `test_two_drivers.py` runs: `python two_drivers.py FOLDER`, reinforcement learning in two processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import lightning.pytorch as pl

from racing_vpt.callbacks.reinforcement import Reinforcement
from racing_vpt.models.rl_config import AnchorConfig
from racing_vpt.models.vpt_config import PolicyConfig
from racing_vpt.models.vpt_rl import VPTRL
from racing_vpt.replay.on_policy_datamodule import OnPolicyDataModule


def main(folder: Path) -> None:
    pl.seed_everything(0)
    module = VPTRL(network=PolicyConfig("mini", recurrence_layers=0), anchor=AnchorConfig(weight=0.0))
    data, driving = (
        OnPolicyDataModule(lanes=2, steps=8, epochs=1, batch_size=8, sequence=4),
        Reinforcement(max_frames=6),
    )
    trainer = pl.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_steps=14, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
        callbacks=[driving],
    )  # fmt: skip
    firsts: list[int] = []
    start = driving.on_train_start

    def noted(trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert driving.actors is not None
        spec = driving.actors.lane_spec
        firsts.extend(spec.first_seed + row + n * int(spec.seeds_apart or 0) for row in range(2) for n in range(3))
        start(trainer, module)

    driving.on_train_start = noted  # type: ignore[method-assign]
    trainer.fit(module, data)
    assert data.rollout is not None
    found = {
        "weights": {name: x.flatten()[:50].tolist() for name, x in module.named_parameters()},
        "seeds": firsts,
        "rewards": data.rollout.rewards.flatten().tolist(),
        "advantages": data.rollout.advantage[data.rollout.valid].tolist(),
    }
    (folder / f"rank-{trainer.global_rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
