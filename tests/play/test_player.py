"""Playing: the dream is the one trained in, the memory goes on whoever drives, and what is recorded is what was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from building import build

from racing_vpt.agents.brownian import BrownianAgent
from racing_vpt.agents.checkpoint import CheckpointAgent
from racing_vpt.agents.key_controls import Keys
from racing_vpt.data.trajectory import read_trajectory
from racing_vpt.dream import DreamEnv
from racing_vpt.envs.make import make_env
from racing_vpt.models.controller import Controller
from racing_vpt.models.parts import WORLD_FRAMES
from racing_vpt.models.token_world import TokenWorld
from racing_vpt.play.browser import Browser, films_of
from racing_vpt.play.driver import WorldDriver
from racing_vpt.play.models import imagination_of
from racing_vpt.play.player import Player
from racing_vpt.play.scene import DreamScene, RoadScene, WatchingAgent
from racing_vpt.rollout.episodes import run_episode
from racing_vpt.rollout.population import dream_returns
from racing_vpt.video.decode import open_video

torch.set_num_threads(1)
FAST = "racing_vpt/CarRacingFast-v3"
UP, NONE = Keys(frozenset({"up"})), Keys()
ENDS, GOES_ON = 20.0, -20.0


def controller(end: float, stride: int = 3) -> Controller:
    """A controller with random weights; dreams end with this logit."""
    torch.manual_seed(0)
    module = Controller(frames=replace(WORLD_FRAMES, stride=stride)).eval()
    module.starts[:2, :32], module.num_starts[()] = torch.randn(2, 32), 2
    module.controller.data.normal_(0, 0.3)
    assert module.world.memory is not None
    assert module.world.memory.outcome is not None
    module.world.memory.outcome.weight.data[1], module.world.memory.outcome.bias.data[1] = 0, end
    return module


def dream_of(module: Controller, tau: float = 1.0) -> DreamScene:
    return DreamScene(imagination_of(module, "it", tau), "a dream", WorldDriver(module))


def pressing(*keys: str) -> Keys:
    return Keys(pressed=keys)


def test_the_dream_that_is_played_is_the_one_trained_in() -> None:
    module = controller(end=-3.0)
    assert module.world.memory is not None
    env, played = DreamEnv(module.world.memory, module.beginnings, 1), imagination_of(module, "it", 1.0)
    env.reset(seed=5)
    played.begin(5)
    lengths = []
    for step in range(60):
        controls = {"steering": float(np.sin(step)), "throttle": 0.5, "brake": 0.0}
        _, reward, ended, _, _ = env.step(np.array([[*controls.values()]]))
        dreamt = played.step(controls)
        torch.testing.assert_close(played.observation, env.z)
        assert dreamt.reward == pytest.approx(float(reward[0]), abs=1e-6)
        assert dreamt.ended == ended[0]
        if dreamt.ended:
            lengths.append(step)
            break
    assert lengths
    assert lengths[0] > 2


def test_an_agent_earns_in_its_dream_what_its_search_was_told() -> None:
    module = controller(GOES_ON)
    scene = dream_of(module)
    scene.begin(7)
    for _ in range(25):
        controls = scene.suggest()
        assert controls is not None
        scene.step(controls)
    numbers = module.controller.detach().numpy()[None]
    assert scene.score == pytest.approx(dream_returns(module.world, module.beginnings, numbers, [7], 1.0, 25)[0, 0])


def test_the_memory_goes_on_whoever_drives(tmp_path: Path) -> None:
    scene = dream_of(controller(GOES_ON))
    player = Player(scene, tmp_path, "it")
    for keys in [NONE] * 4 + [pressing("m")] + [UP] * 6 + [pressing("m")] + [NONE] * 4:
        player.step(keys)
    remembers, dreams = scene.dreamer.state, scene.imagination.state.memory  # type: ignore[union-attr, attr-defined]
    assert all(torch.allclose(one, two, atol=1e-6) for one, two in zip(remembers, dreams, strict=True))
    assert scene.age == 16  # and no step was lost


def test_a_controller_that_nobody_relieves_drives_as_ever() -> None:
    module = controller(GOES_ON)
    scene = RoadScene(make_env(FAST), FAST, WorldDriver(module))
    scene.begin(10_000)
    for _ in range(30):
        scene.step(scene.suggest())
    result = run_episode(make_env(FAST), CheckpointAgent(module), 10_000, max_frames=30)
    assert scene.score == pytest.approx(result.score, abs=1e-6)


def test_a_person_takes_the_wheel_and_gives_it_back(tmp_path: Path) -> None:
    player = Player(RoadScene(make_env(FAST), FAST, WatchingAgent(BrownianAgent(3))), tmp_path, "brownian")
    player.step(pressing(","))
    player.step(Keys(frozenset({"up", "left"}), ("m",)))
    for _ in range(5):
        player.step(Keys(frozenset({"up", "left"})))
    player.step(pressing("m"))
    player.step(pressing("m", ","))
    seen = read_trajectory(player.kept[0])
    assert seen.by_hand.tolist() == [False, *[True] * 6, False]
    steering = seen.controls[:, 0]
    np.testing.assert_allclose(np.diff(steering[:7]), -0.06, atol=1e-6)  # from where the agent held it
    assert (seen.controls[1:7, 1] == 1).all()
    assert seen.names == ("steering", "throttle", "brake")


def test_a_recording_has_the_frames_the_controls_and_the_true_rate(tmp_path: Path) -> None:
    scene = dream_of(controller(GOES_ON))
    player = Player(scene, tmp_path, "it", by="keyboard", seed=4)
    player.step(UP)
    assert not list(tmp_path.glob("*"))
    frames = [scene.frame]
    player.step(Keys(UP.held, (",",)))
    for _ in range(6):
        frames.append(scene.frame)
        player.step(UP)
    player.step(pressing(","))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dream-0001.mp4", "dream-0001.npz"]
    seen, film = read_trajectory(tmp_path / "dream-0001.npz"), open_video(tmp_path / "dream-0001.mp4")
    assert np.array_equal(seen.frames, np.stack(frames))
    assert film.num_frames == len(seen.frames) == 7
    assert film.frames_per_second == pytest.approx(50 / 3, rel=1e-3)
    assert seen.frames_per_second == pytest.approx(50 / 3)
    assert (seen.world, seen.checkpoint) == ("a dream, seed 4", "it")
    assert not seen.first.any()
    player.step(pressing(",", ",", ","))  # one of them stays empty, and is not there
    player.close()  # a recording that runs is kept
    assert len(list(tmp_path.iterdir())) == 4
    assert (tmp_path / "dream-0002.npz").exists()


def test_it_asks_whether_to_keep_what_ended(tmp_path: Path) -> None:
    scene = dream_of(controller(ENDS))
    player = Player(scene, tmp_path, "it", save_mode=True)
    waiting = player.step(NONE)
    assert player.asks
    age, seed = scene.age, player.seed
    for _ in range(3):
        assert np.array_equal(player.step(UP), waiting)
    assert (scene.age, player.seed) == (age, seed)
    player.step(pressing("n"))
    assert not list(tmp_path.glob("*.npz"))
    assert player.seed == seed + 1
    player.step(pressing("y"))
    player.close()  # asked about, and not answered: kept
    assert [path.name for path in player.kept] == ["dream-0001.npz", "dream-0002.npz"]
    assert read_trajectory(player.kept[0]).ended.tolist() == [True]
    assert not list(tmp_path.glob(".tmp-*"))


def test_films_and_trajectories_are_leafed_through(tmp_path: Path) -> None:
    player = Player(dream_of(controller(GOES_ON)), tmp_path / "recordings", "it")
    for _ in range(2):
        player.step(pressing(","))
        for _ in range(4):
            player.step(NONE)
        player.step(pressing(","))
    (tmp_path / "recordings" / "dream-0002.npz").unlink()
    (tmp_path / "episodes").mkdir()
    (tmp_path / "episodes" / "torn.npz").write_bytes(b"PK\x03\x04 and no more")
    files = films_of(tmp_path)
    assert [path.name for path in files] == ["torn.npz", "dream-0001.npz", "dream-0002.mp4"]
    browser = Browser(files, tmp_path, header=True)
    browser.step(NONE)
    assert "no whole trajectory" in browser.fault
    browser.step(pressing("down"))
    assert (browser.index, browser.num_frames) == (0, 5)
    assert browser.frames_per_second == pytest.approx(50 / 3)
    for keys, index in ((NONE, 1), (pressing("right"), 2), (NONE, 2), (pressing("left"), 1), (pressing("space"), 1)):
        browser.step(keys)
        assert browser.index == index
    for _ in range(9):
        picture = browser.step(NONE)
    assert (browser.index, browser.ended) == (4, True)
    film = browser.step(pressing("down"))
    assert browser.index == 0
    assert film.shape != picture.shape
    assert browser.step(pressing("up", "up")).shape[1] == 640
    with pytest.raises(FileNotFoundError, match=r"no \.mp4 or \.npz in episodes, recordings"):
        films_of(tmp_path / "elsewhere")


@torch.no_grad()
def test_a_world_of_tokens_is_played_alike(tmp_path: Path) -> None:
    torch.manual_seed(0)
    size = {"layers": 1, "width": 16, "heads": 1, "window": 3, "dropout": 0.0}
    module = build(
        TokenWorld, {"world.size": size, "tokenizer.size": "tiny", "tokenizer.vocabulary": 32}
    ).eval()  # fmt: skip
    with pytest.raises(ValueError, match="never trained"):
        imagination_of(module, "it", 1.0)
    module.start_tokens.random_(0, 32)
    module.num_starts[()] = 2
    player = Player(DreamScene(imagination_of(module, "it", 1.0), "tokens"), tmp_path, "it", by="keyboard")
    shapes = {player.step(UP).shape for _ in range(6)}  # two windows
    assert len(shapes) == 1
    player.step(pressing("m"))
    assert "no agent" in player.note
    assert player.by_hand
