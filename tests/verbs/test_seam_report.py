"""`racing-vpt seam`: sliding and cleared caches compared in the same dreams."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from building import build

from racing_vpt.checkpoints.load import load_module, save_checkpoint
from racing_vpt.cli.main import main
from racing_vpt.models.token_world import TokenWorld
from racing_vpt.studies.long_dreams import imagined

torch.set_num_threads(1)
KIND = "racing_vpt.models.token_world.TokenWorld"


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two with random weights, whose windows hold three frames: one slides, one is flushed."""
    folder = tmp_path_factory.mktemp("worlds")
    for positions in ("rotary", "absolute"):
        size = {"layers": 1, "width": 16, "heads": 1, "window": 3, "dropout": 0.0}
        words = {"tokenizer": {"size": "tiny"}, "world": {"size": size, "positions": positions}}
        torch.manual_seed(0)
        module = build(TokenWorld, words)
        module.start_tokens.random_(0, 512)
        module.start_actions.uniform_(0, 1)
        module.num_starts[()] = 5
        for part in module.net.blocks.parameters():  # type: ignore[attr-defined]
            part.data.mul_(8)  # so that what is remembered decides what comes
        save_checkpoint(folder / positions, KIND, words, module.state_dict())
    return folder


def test_clearing_the_cache_changes_the_following_frames(worlds: Path) -> None:
    world = load_module(str(worlds / "rotary")).eval()
    assert isinstance(world, TokenWorld)
    slid, never = imagined(world, 9, 2, 0.0, seed=3, every=None)
    flushed, places = imagined(world, 9, 2, 0.0, seed=3, every=5)
    assert slid.shape == (9, 2, 64, 64, 3)
    assert not never.any()
    assert places.nonzero()[:, 0].tolist() == [4]
    assert torch.equal(slid[:4], flushed[:4])
    assert not torch.equal(slid[4:], flushed[4:])


def test_both_kinds_are_measured_at_the_same_places(worlds: Path, tmp_path: Path) -> None:
    for name, kinds in (("rotary", {"flushed", "slides"}), ("absolute", {"flushed"})):
        out = tmp_path / f"{name}.json"
        assert main(["seam", str(worlds / name), "--frames=12", "--dreams=2", f"--json={out}"]) == 0
        figures = json.loads(out.read_text())
        found = {key: value for key, value in figures.items() if isinstance(value, dict)}
        difference = found.pop("difference", None)
        assert found.keys() == kinds
        assert (difference is None) == (name == "absolute")
        if difference:
            assert difference["seam"] == pytest.approx(found["flushed"]["seam"] - found["slides"]["seam"])
        assert found["flushed"]["flushes"] >= 3
        assert all(one["seam"] == pytest.approx(one["jump"] / one["jump_elsewhere"], rel=0.3) for one in found.values())
    assert "slides" not in found


def test_a_model_without_such_a_cache_is_refused(worlds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = [
        (["zoo:vpt-carracing"], "is a VPT, but only a world model over tokens"),
        ([str(worlds / "rotary"), "--frames=8"], "frames from 9"),
        ([str(worlds / "rotary"), "--dreams=0"], "dreams from 1"),
    ]
    for words, said in cases:
        assert main(["seam", *words]) == 2
        assert said in capsys.readouterr().err
