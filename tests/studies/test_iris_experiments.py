"""The table of experiments: rows trained equally, measured with intervals, and continued after a stop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from building import build

from racing_vpt.models.token_world import TokenWorld
from racing_vpt.studies.world_measures import nats
from racing_vpt.types import Batch
from racing_vpt.verbs.iris_experiments import iris_experiments, table

torch.set_num_threads(1)


def test_rows_are_trained_measured_and_kept(
    tiny_recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from racing_vpt.verbs.pack import pack

    pack(tiny_recordings, tmp_path / "shards", val_fraction=0.34, clip_frames=32)
    given = {"recordings": str(tmp_path / "shards"), "out": tmp_path / "out", "steps": 1, "clips": 32}
    found = iris_experiments(**given, rows=["l1"])  # type: ignore[arg-type]
    assert [*found] == ["l1"]
    mean, low, high = found["l1"]["psnr"]
    assert low <= mean <= high
    assert 0 < found["l1"]["codebook_use"] <= 1
    before = (tmp_path / "out" / "tokenizer" / "l1" / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    assert iris_experiments(**given, rows=["l1"]) == found  # type: ignore[arg-type]
    assert (tmp_path / "out" / "tokenizer" / "l1" / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before
    assert "| l1 |" in (tmp_path / "out" / "table.md").read_text()
    with pytest.raises(ValueError, match="there are no rows nobody"):
        iris_experiments(**given, rows=["nobody"])  # type: ignore[arg-type]


def test_a_discriminator_takes_effect_within_the_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words: list[str] = []

    def main(given: list[str]) -> int:
        words.extend(given)
        return 1

    monkeypatch.setattr("racing_vpt.cli.main.main", main)
    with pytest.raises(ValueError, match="row adversarial could not be trained"):
        iris_experiments(out=tmp_path, steps=500, rows=["adversarial"])
    assert "--model.adversarial.start_step=100" in words
    assert "--trainer.max_steps=500" in words


def test_a_figure_has_its_interval() -> None:
    row = {"stage": "token_world", "psnr_7": [25.0, 24.0, 26.0], "psnr_gain_7": [4.0, 3.0, 5.0],
           "token_ce": [2.1, 2.0, 2.25], "psnr_gain_20": [3.2, 3.0, 3.4],
           "action_sensitivity": [0.5, 0.4, 0.6], "frames_per_second": 684.2}  # fmt: skip
    assert table({"gpt": row}).splitlines()[2] == (
        "| gpt | 2.10 (2.00 to 2.25) | 25.00 (24.00 to 26.00) | 4.00 (3.00 to 5.00) | 3.20 (3.00 to 3.40) | "
        "0.50 (0.40 to 0.60) | 684 |"
    )


@torch.no_grad()
def test_cross_entropy_is_measured_for_each_complete_clip() -> None:
    torch.manual_seed(0)
    world = build(TokenWorld, {"world.size": "tiny", "tokenizer.size": "tiny", "world.architecture": "frame"}).eval()
    valid = torch.ones(3, 6, dtype=torch.bool)
    valid[1, 4:] = False
    first, frames = torch.zeros(3, 6, dtype=torch.bool), torch.zeros(3, 0, 1, 1, 3, dtype=torch.uint8)
    controls = {name: torch.rand(3, 6) for name in world.controls}
    codes = torch.randint(512, (3, 6, 16)).float()
    batch = Batch(frames, controls, first, valid, valid.float(), codes=codes)
    found = nats(world, batch)
    assert found.shape == (2,)
    alone = [0, 2]
    kept = Batch(
        frames[alone], {name: x[alone] for name, x in controls.items()}, first[alone], valid[alone],
        valid[alone].float(), codes=codes[alone],
    )  # fmt: skip
    torch.testing.assert_close(found.mean(), world.losses(kept)["token_ce"])
