"""Playing: the dream equals that of training, the memory is kept up to date, and recordings are exact."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from building import build

from racing_vpt.agents.brownian import BrownianAgent
from racing_vpt.agents.checkpoint import CheckpointAgent
from racing_vpt.data.recording import Recording
from racing_vpt.data.shards import ShardStore
from racing_vpt.dream import DreamEnv
from racing_vpt.envs.make import make_env
from racing_vpt.games.read import load_game
from racing_vpt.models.controller import Controller
from racing_vpt.models.token_world import TokenWorld
from racing_vpt.nn.memory_world import MemoryWorld
from racing_vpt.play.browser import Browser
from racing_vpt.play.course import DreamCourse, EnvCourse, FollowingAgent
from racing_vpt.play.kept_episodes import episodes_of
from racing_vpt.play.models import imagination_of
from racing_vpt.play.player import Player, PlayerOptions
from racing_vpt.play.take import spans
from racing_vpt.play.world_drivers import WorldDriver
from racing_vpt.rollout.population import dream_returns
from racing_vpt.verbs.pack import pack
from racing_vpt.window.window import Keys
from tests.episodes import run_episode

torch.set_num_threads(1)
FAST = "racing_vpt/CarRacingFast-v3"
UP, NONE = Keys(frozenset({"up"})), Keys()
ENDS, GOES_ON = 20.0, -20.0


def controller(end: float, stride: int = 3) -> Controller:
    """A controller with random weights; dreams end with this logit."""
    torch.manual_seed(0)
    module = Controller(frames=replace(load_game("carracing").world_frames, stride=stride)).eval()
    module.starts[:2, :32], module.num_starts[()] = torch.randn(2, 32), 2
    module.controller.data.normal_(0, 0.3)
    assert module.world.memory is not None
    assert module.world.memory.outcome is not None
    module.world.memory.outcome.weight.data[1], module.world.memory.outcome.bias.data[1] = 0, end
    return module


def dream_of(module: Controller, tau: float = 1.0) -> DreamCourse:
    return DreamCourse(imagination_of(module, "it", tau), "it", WorldDriver(module))


def pressing(*keys: str) -> Keys:
    return Keys(pressed=keys)


def test_the_dream_that_is_played_is_the_one_trained_in() -> None:
    module = controller(end=-3.0)
    assert module.world.memory is not None
    world = MemoryWorld(module.world.vae, module.world.memory, module.world.controls)
    env, played = DreamEnv(world, module.beginnings, 1), imagination_of(module, "it", 1.0)
    env.reset(seed=5)
    played.begin(5)
    lengths = []
    for step in range(60):
        controls = {"steering": float(np.sin(step)), "throttle": 0.5, "brake": 0.0}
        _, reward, ended, _, _ = env.step(np.array([[*controls.values()]]))
        dreamt = played.step(controls)
        torch.testing.assert_close(played.observation, env.state.observation)
        assert dreamt.reward == pytest.approx(float(reward[0]), abs=1e-6)
        assert dreamt.ended == ended[0]
        if dreamt.ended:
            lengths.append(step)
            break
    assert lengths
    assert lengths[0] > 2


def test_an_agent_earns_in_its_dream_what_its_search_was_told() -> None:
    module = controller(GOES_ON)
    course = dream_of(module)
    course.begin(7)
    for _ in range(25):
        controls = course.suggest()
        assert controls is not None
        course.step(controls)
    numbers = module.controller.detach().numpy()[None]
    assert course.score == pytest.approx(dream_returns(module.world, module.beginnings, numbers, [7], 1.0, 25)[0, 0])


def test_the_memory_is_updated_whoever_drives(tmp_path: Path) -> None:
    course = dream_of(controller(GOES_ON))
    player = Player(course, "it", tmp_path)
    for keys in [NONE] * 4 + [pressing("m")] + [UP] * 6 + [pressing("m")] + [NONE] * 4:
        player.step(keys)
    remembers, dreams = course.dreamer.state, course.imagination.state.memory  # type: ignore[union-attr, attr-defined]
    assert all(torch.allclose(one, two, atol=1e-6) for one, two in zip(remembers, dreams, strict=True))
    assert course.age == 16  # and no step was lost


def test_a_controller_without_a_person_drives_as_usual() -> None:
    module = controller(GOES_ON)
    course = EnvCourse(make_env(FAST), FAST, WorldDriver(module))
    course.begin(10_000)
    for _ in range(30):
        course.step(course.suggest())
    result = run_episode(make_env(FAST), CheckpointAgent(module), 10_000, max_frames=30)
    assert course.score == pytest.approx(result.score, abs=1e-6)


def test_a_person_takes_the_wheel_and_gives_it_back(tmp_path: Path) -> None:
    player = Player(EnvCourse(make_env(FAST), FAST, FollowingAgent(BrownianAgent(3))), "brownian", tmp_path)
    player.step(pressing(","))
    player.step(Keys(frozenset({"up", "left"}), ("m",)))
    for _ in range(5):
        player.step(Keys(frozenset({"up", "left"})))
    player.step(pressing("m"))
    player.step(pressing("m", ","))
    recording = Recording.open(player.kept[0])
    assert recording.meta["by_hand"] == [[1, 7]]
    assert recording.meta["agent"] == "keyboard and brownian"
    controls = recording.controls()
    np.testing.assert_allclose(np.diff(controls["steering"][:7]), -0.06, atol=1e-6)  # from where the agent held it
    assert (controls["throttle"][1:7] == 1).all()
    assert not controls["gear_change"].any()  # as all recordings of CarRacing have it
    assert recording.records()[3].observation["speed"] > 0  # type: ignore[operator]


def test_what_a_person_drives_can_be_trained_on(tmp_path: Path) -> None:
    """In an environment and in a dream: packed, and read from the shards."""
    folder = tmp_path / "recordings"
    courses = [EnvCourse(make_env(FAST), FAST, None), dream_of(controller(GOES_ON))]
    for course in courses:
        player = Player(course, "it", folder, PlayerOptions(by_hand=True), iter([10_000]))
        player.step(pressing(","))
        for _ in range(39):
            player.step(UP)
        player.close()
    dream = Recording.open(folder / "dream-0001.mp4").meta["dream"]
    assert dream == {"world_model": "it", "tau": 1.0}
    assert Recording.open(folder / "drive-0001.mp4").meta["environment"] == FAST
    manifest = pack(folder, tmp_path / "shards", val_fraction=0.0, clip_frames=16, height=64, width=64)
    assert set(manifest["episodes"]) == {"dream-0001", "drive-0001"}
    store = ShardStore(str(tmp_path / "shards"), "train")
    for episode in store.episodes:
        assert episode.num_frames == 40
        known = store.columns(episode.clips[-1])
        assert {*known.controls} == {"steering", "throttle", "brake", "gear_change"}
        assert known.controls["throttle"].tolist() == [1.0] * len(known)
        assert known.reward is not None


def test_each_episode_is_a_recording_of_its_own(tmp_path: Path) -> None:
    player = Player(dream_of(controller(ENDS)), "it", tmp_path, seeds=iter([3, 4]))
    for keys in (pressing(","), NONE):
        player.step(keys)
    player.close()
    assert [Recording.open(path).meta["seed"] for path in player.kept] == [3, 4]
    assert [record.first for path in player.kept for record in Recording.open(path).records()] == [True, True]


def test_space_pauses_and_brakes_where_a_person_drives() -> None:
    course = EnvCourse(make_env(FAST), FAST, FollowingAgent(BrownianAgent(3)))
    player = Player(course, "brownian")
    player.step(pressing("space"))
    player.step(NONE)
    assert (player.paused, course.age) == (True, 0)
    player.step(pressing("space"))
    assert (player.paused, course.age) == (False, 1)
    player.step(Keys(frozenset({"space"}), ("m", "space")))
    assert not player.paused
    assert player.done["brake"] == pytest.approx(0.8)
    player.step(pressing("p"))
    assert player.paused
    player.step(pressing("q"))
    assert player.over


def test_one_ends_after_the_last_seed() -> None:
    course = EnvCourse(make_env(FAST), FAST, FollowingAgent(BrownianAgent(3)), max_frames=3)
    player = Player(course, "brownian", seeds=iter([5, 9]))
    seen = []
    while not player.over:
        player.step(NONE)
        seen.append(player.seed)
    assert seen == [5, 5, 5, 9, 9, 9, 9]
    assert player.episodes == 2


def test_spans_are_the_runs_of_true_flags() -> None:
    assert spans([True, False, True, True]) == [[0, 1], [2, 4]]
    assert spans([False, False]) == []


def test_a_recording_has_the_frames_the_controls_and_the_true_rate(tmp_path: Path) -> None:
    course = dream_of(controller(GOES_ON))
    player = Player(course, "it", tmp_path, PlayerOptions(by_hand=True), iter([4]))
    player.step(UP)
    assert not list(tmp_path.glob("*"))
    frames = [course.frame]
    player.step(Keys(UP.held, (",",)))
    for _ in range(6):
        frames.append(course.frame)
        player.step(UP)
    player.step(pressing(","))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".jsonl", ".mp4"]
    recording = Recording.open(tmp_path / "dream-0001.mp4")
    video = recording.open_video()
    assert np.abs(video.read(range(7)).astype(int) - np.stack(frames)).mean() < 4  # nothing is lost but x264's share
    assert recording.num_frames == video.num_frames == 7
    assert recording.frames_per_second == pytest.approx(50 / 3)
    assert video.frames_per_second == pytest.approx(50 / 3, rel=1e-3)
    assert recording.meta["seed"] == 4
    assert recording.meta["by_hand"] == [[0, 7]]
    assert not any(record.first for record in recording.records())
    player.step(pressing(",", ",", ","))  # one of them stays empty, and is not there
    player.close()  # a recording that runs is kept
    assert len(list(tmp_path.iterdir())) == 6
    assert (tmp_path / "dream-0002.meta.json").exists()


def test_it_asks_whether_to_keep_what_ended(tmp_path: Path) -> None:
    course = dream_of(controller(ENDS))
    player = Player(course, "it", tmp_path, PlayerOptions(save_mode=True))
    waiting = player.step(NONE)
    assert player.asks
    age, seed = course.age, player.seed
    for _ in range(3):
        assert np.array_equal(player.step(UP), waiting)
    assert (course.age, player.seed) == (age, seed)
    player.step(pressing("n"))
    assert not list(tmp_path.glob("[!.]*"))
    assert player.seed == seed + 1
    player.step(pressing("y"))
    player.close()  # asked about, and not answered: kept
    assert [path.name for path in player.kept] == ["dream-0001.mp4", "dream-0002.mp4"]
    assert Recording.open(player.kept[0]).num_frames == 1
    assert not list(tmp_path.glob(".tmp-*"))


def old_episode(path: Path, steps: int) -> None:
    """As `play` wrote them before version 0.2."""
    np.savez_compressed(
        path,
        frames=np.zeros((steps, 96, 96, 3), np.uint8),
        controls=np.ones((steps, 3), np.float32) / 2,
        names=np.array(["steering", "throttle", "brake"]),
        rewards=np.ones(steps, np.float32),
        first=np.arange(steps) == 0,
        ended=np.zeros(steps, bool),
        by_hand=np.ones(steps, bool),
        frames_per_second=np.array(50 / 3),
        world=np.array("the dream of 394ce62ecf3bc4db, tau 1"),
        checkpoint=np.array("zoo:world-model-carracing"),
    )


def test_recordings_films_and_old_episodes_are_browsed(tmp_path: Path) -> None:
    player = Player(dream_of(controller(GOES_ON)), "it", tmp_path / "recordings")
    for _ in range(2):
        player.step(pressing(","))
        for _ in range(4):
            player.step(NONE)
        player.step(pressing(","))
    for suffix in (".jsonl", ".meta.json"):
        (tmp_path / "recordings" / f"dream-0002{suffix}").unlink()
    (tmp_path / "episodes").mkdir()
    (tmp_path / "episodes" / "torn.npz").write_bytes(b"PK\x03\x04 and no more")
    old_episode(tmp_path / "episodes" / "old.npz", 3)
    (tmp_path / "episodes" / "old.mp4").touch()  # its film, which shows no more than it
    files = episodes_of(tmp_path)
    assert [path.name for path in files] == ["old.npz", "torn.npz", "dream-0001.meta.json", "dream-0002.mp4"]
    browser = Browser(files, tmp_path, header=True)
    browser.step(NONE)
    assert (browser.playback.index, browser.playback.num_frames, browser.fault) == (0, 3, "")
    assert browser.scores.tolist() == [1, 2, 3]
    assert browser.shown is not None
    assert browser.shown.about == "zoo:world-model-carracing in the dream of 394ce62ecf3bc4db, tau 1"
    browser.step(pressing("down"))
    assert "not a whole episode" in browser.fault
    browser.step(pressing("down"))
    assert (browser.playback.index, browser.playback.num_frames) == (0, 5)
    assert browser.frames_per_second == pytest.approx(50 / 3)
    for keys, index in ((NONE, 1), (pressing("right"), 2), (NONE, 2), (pressing("left"), 1), (pressing("space"), 1)):
        browser.step(keys)
        assert browser.playback.index == index
    for _ in range(9):
        picture = browser.step(NONE)
    assert (browser.playback.index, browser.ended) == (4, True)
    film = browser.step(pressing("down"))
    assert browser.playback.index == 0
    assert film.shape != picture.shape
    assert browser.step(pressing("up", "up")).shape[1] == 640
    with pytest.raises(FileNotFoundError, match="no recording or film in episodes, recordings"):
        episodes_of(tmp_path / "elsewhere")


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
    player = Player(DreamCourse(imagination_of(module, "it", 1.0), "it"), "it", tmp_path, PlayerOptions(by_hand=True))
    shapes = {player.step(UP).shape for _ in range(6)}  # two windows
    assert len(shapes) == 1
    player.step(pressing("m"))
    assert "no agent" in player.notes.text
    assert player.by_hand
