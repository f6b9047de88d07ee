"""`racing-vpt play` with IRIS: its actor in dream and environment, with a person taking over."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from building import build, nested

from racing_vpt.checkpoints.load import load_module, save_checkpoint
from racing_vpt.cli.main import main
from racing_vpt.data.recording import Recording
from racing_vpt.games.read import load_game
from racing_vpt.models.iris import IRIS
from racing_vpt.play.models import driver_of
from racing_vpt.play.world_drivers import ActorDreamer

torch.set_num_threads(1)
FAST = "--env=racing_vpt/CarRacingFast-v3"
CAR = asdict(replace(load_game("carracing").world_frames, stride=3))
SMALL = {"layers": 1, "width": 16, "heads": 1, "window": 3, "dropout": 0.0}


@pytest.fixture(scope="module", params=["pictures", "codes"])
def iris(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny IRIS with random weights; its dreams have starts and never end."""
    torch.manual_seed(0)
    words = nested({
        "frames": CAR, "tokenizer.size": "tiny", "world.size": SMALL, "reconstruction.perceptual": None,
        "actor.size": "tiny", "actor.sees": request.param,
    })  # fmt: skip
    module, folder = build(IRIS, words), tmp_path_factory.mktemp(request.param)
    module.world.start_tokens.random_(0, 512)
    module.world.num_starts[()] = 2
    module.world.net.end[-1].bias.data.fill_(-20)  # type: ignore[operator, union-attr]
    save_checkpoint(folder, "racing_vpt.models.iris.IRIS", words, module.state_dict())
    return folder


def test_an_actor_acts_in_the_dream_as_in_the_environment(iris: Path) -> None:
    module = load_module(str(iris))
    assert isinstance(module, IRIS)
    road, dreamer = driver_of(module), ActorDreamer(module)
    assert road is not None
    frames = np.random.default_rng(0).integers(256, size=(4, 64, 64, 3), dtype=np.uint8)
    road.agent.module.frames = replace(module.frames, stride=1, crop_bottom=0.0)  # type: ignore[attr-defined]
    road.agent.keep_pace(50)  # type: ignore[attr-defined]
    said = [road.act(frame) for frame in frames]
    tokens = module.world.code(torch.from_numpy(frames))
    dreamer.begin_dream(tokens[:2])  # it saw them before the dream
    for index in (2, 3):
        answer = dreamer.answer(tokens[index : index + 1], module.world.show(tokens[index : index + 1]))
        assert answer == pytest.approx(said[index], abs=1e-5)
    dreamer.begin_dream(tokens[:0])
    assert dreamer.answer(tokens[:1], torch.empty(0)) == pytest.approx(said[0], abs=1e-5)


def test_a_person_takes_over_from_the_actor_in_its_world_model(iris: Path, tmp_path: Path) -> None:
    words = ["--agent_in_world_model", f"--recordings={tmp_path}", f"--out={tmp_path / 'film.mp4'}"]
    assert main(["play", str(iris), *words, "--keys", ", none*3 m up*2 m none*2 ,"]) == 0
    seen = Recording.open(tmp_path / "dream-0001.mp4")
    assert seen.meta["by_hand"] == [[3, 5]]
    assert len(seen.records()) == 7
    road = [FAST, "--reconstruction", f"--recordings={tmp_path}", f"--out={tmp_path / 'road.mp4'}"]
    assert main(["play", str(iris), *road, "--keys", ", none*4 ,"]) == 0
    assert Recording.open(tmp_path / "drive-0001.mp4").meta["by_hand"] == []
