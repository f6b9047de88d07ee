"""Reports and films of drivers with a world model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from racing_vpt.checkpoints.load import save_checkpoint
from racing_vpt.cli.main import main
from racing_vpt.models.controller import Controller
from racing_vpt.video.decode import open_video

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A controller with random weights on a memory that saw two episodes begin."""
    torch.manual_seed(0)
    module, folder = Controller(), tmp_path_factory.mktemp("controller")
    module.starts[:2, :32], module.num_starts[()] = torch.randn(2, 32), 2
    module.controller.data.normal_(0, 0.3)
    save_checkpoint(folder, "racing_vpt.models.controller.Controller", {}, module.state_dict())
    return folder


def test_a_film_shows_reconstructions_and_predictions(controller: Path, tmp_path: Path) -> None:
    film, plain = tmp_path / "film.mp4", tmp_path / "plain.mp4"
    words = ["--env=racing_vpt/CarRacingFast-v3", "--seeds=10000", "--max_frames=8", "--workers=1", "--film_scale=2"]
    assert main(["drive", f"--checkpoint={controller}", *words, f"--video={film}"]) == 0
    assert main(["drive", "--checkpoint=brownian", *words, f"--video={plain}"]) == 0
    wide, narrow = (open_video(path).read(np.arange(8)) for path in (film, plain))
    assert len(wide) == len(narrow) == 8
    assert wide.shape[2] == narrow.shape[2] + 2 * (2 * 96 + 4)  # two pictures more
    columns = wide[:, :168, 2 * 96 + 4 : 4 * 96 + 4].astype(float)  # the reconstruction
    assert columns.std() > 0


def test_drivers_are_compared_on_the_same_tracks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "compared.json"
    words = [
        "--checkpoints=[brownian,expert:brisk+expert:calm]",
        "--env=racing_vpt/CarRacingFast-v3",
        "--seeds=10000-10002",
    ]
    assert main(["compare", *words, "--workers=1", f"--json={out}"]) == 0
    found = json.loads(out.read_text())
    first, experts = found["brownian"], found["expert:brisk+expert:calm"]
    returns = np.array([report["returns"] for report in experts["reports"]])
    assert returns.shape == (2, 3)
    assert experts["difference"] == pytest.approx(returns.mean() - first["mean"], abs=1e-3)
    assert experts["difference_ci95"][0] > 500
    assert first["difference"] == 0
    assert "| expert:brisk+expert:calm |" in capsys.readouterr().out
    assert main(["compare", "--checkpoints=[brownian]"]) == 2
    assert "two or more different checkpoints" in capsys.readouterr().err
    assert main(["compare", "--checkpoints", "zoo:dqn-carracing", "brownian", "--game=enduro"]) == 2
    assert "for the game carracing, but --game enduro" in capsys.readouterr().err


def test_dream_returns_are_reported_beside_real_ones(
    controller: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "dream.json"
    words = ["--taus=[0.0,1.0]", "--dreams=3", "--seeds=10000", f"--json={out}"]
    assert main(["dream", str(controller), *words]) == 0
    found = json.loads(out.read_text())
    assert set(found["dreams"]) == {"0", "1"}
    assert np.isfinite(found["dreams"]["1"]["mean"])
    assert "on the road (10000)" in capsys.readouterr().out
    assert main(["dream", "zoo:vpt-carracing"]) == 2
    assert "is a VPT" in capsys.readouterr().err
