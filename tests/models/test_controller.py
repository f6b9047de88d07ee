"""The controller's search: the paper's sizes; equal when resumed and in any number of processes."""

import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from racing_vpt.agents.checkpoint import CheckpointAgent
from racing_vpt.checkpoints.load import save_checkpoint
from racing_vpt.cli.main import main
from racing_vpt.dream import DreamEnv
from racing_vpt.envs.make import make_env
from racing_vpt.games.read import load_game
from racing_vpt.models.controller import Controller
from racing_vpt.models.mdn_rnn import MDNRNN
from racing_vpt.nn.evolution import Evolution
from racing_vpt.nn.memory import MemoryNet
from racing_vpt.nn.memory_world import MemoryWorld
from racing_vpt.nn.vae_net import VAENet
from racing_vpt.processes import Pool
from racing_vpt.rollout.population import DrivePopulation, DriveTask, dream_returns
from tests.episodes import run_episode

ROOT = Path(__file__).parents[2]
DRIVEN = ("steering", "throttle", "brake")
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a memory with random weights that saw two episodes begin."""
    torch.manual_seed(0)
    module, folder = MDNRNN(), tmp_path_factory.mktemp("memory")
    module.starts[:2, :32], module.num_starts[()] = torch.randn(2, 32), 2
    save_checkpoint(folder, "racing_vpt.models.mdn_rnn.MDNRNN", {}, module.state_dict())
    return folder


def words_of(memory: Path, runs: Path, name: str, *words: str, config: str = "controller") -> list[str]:
    """A short search's command line."""
    text = (ROOT / "configs" / f"{config}.yaml").read_text()
    small = {"max_frames": 6, "workers": 1, "judge_every": 2, "judge_episodes": 1}
    given = "".join(f"        {key}: {value}\n" for key, value in small.items())
    head = "EvolutionRollouts\n      init_args:\n"
    assert head in text
    text = re.sub(r" +judge_(every|episodes): .*\n", "", text).replace(head, head + given)
    path = runs / f"{config}.yaml"
    path.write_text(re.sub(r"every_n_train_steps: \d+", "every_n_train_steps: 1", text))
    configs = ["--config", str(ROOT / "configs" / "base.yaml"), "--config", str(path)]
    sizes = ["--model.search.pop_size=4", "--model.search.n_samples=1", "--data.steps_per_epoch=2"]
    return ["fit", *configs, *sizes, f"--model.memory={memory}", f"--runs={runs}", f"--name={name}", *words]


def fit(memory: Path, runs: Path, name: str, *words: str, config: str = "controller") -> int:
    return main(words_of(memory, runs, name, *words, config=config))


def searched(run: Path) -> dict:
    return torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def whole(memory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of an uninterrupted search of three generations of five candidates. Read only."""
    runs = tmp_path_factory.mktemp("whole")
    assert fit(memory, runs, "whole", "--trainer.max_steps=3", "--model.search.pop_size=5") == 0
    return runs / "controller" / "whole"


def assert_the_same_search(run: Path, other: Path) -> None:
    """Both have done three generations, with the same state and weights after them."""
    one, parts = searched(run), searched(other)
    assert one["global_step"] == parts["global_step"] == 3
    assert [name for name, x in one["evolution"].items() if not torch.equal(x, parts["evolution"][name])] == []
    assert [name for name, x in one["state_dict"].items() if not torch.equal(x, parts["state_dict"][name])] == []


def test_it_has_the_papers_numbers() -> None:
    assert Controller().controller.numel() == 867
    assert Controller(memory_use="none").controller.numel() == 99


def test_a_search_state_is_restored_bit_for_bit() -> None:
    def earned(candidates: np.ndarray) -> np.ndarray:
        return -((candidates - 1) ** 2).sum(1) + np.sin(9 * candidates).sum(1)

    one, whole = Evolution(np.zeros(20), 0.1, 8, 3), Evolution(np.zeros(20), 0.1, 8, 3)
    for search in (one, whole):
        for _ in range(25):
            candidates = search.ask()
            search.tell(candidates, earned(candidates))
    again = Evolution(np.zeros(20), 0.1, 8, 3)
    again.restore({name: value.clone() for name, value in one.state().items()})
    for _ in range(25):
        candidates, same = whole.ask(), again.ask()
        assert np.array_equal(candidates, same)
        whole.tell(candidates, earned(candidates))
        again.tell(same, earned(same))
    assert all(torch.equal(value, again.state()[name]) for name, value in whole.state().items())
    assert earned(whole.mean[None]) > earned(np.zeros((1, 20))) + 5
    with pytest.raises(ValueError, match="4 candidates"):
        Evolution(np.zeros(20), 0.1, 3, 0)


def test_a_resumed_run_equals_an_uninterrupted_one(memory: Path, whole: Path, tmp_path: Path) -> None:
    five = "--model.search.pop_size=5"
    assert fit(memory, tmp_path, "parts", "--trainer.max_steps=2", five) == 0
    assert fit(memory, tmp_path, "parts", "--trainer.max_steps=3", five, "--ckpt_path=last") == 0
    assert_the_same_search(whole, tmp_path / "controller" / "parts")
    from racing_vpt.agents.load import load_agent

    controls = load_agent(str(whole)).act(np.full((96, 96, 3), 100, np.uint8))
    assert {*controls} == {"steering", "throttle", "brake", "gear_change"}


def test_a_search_stopped_in_its_drives_does_them_again(
    memory: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordinary, words = Pool.map, ("--trainer.max_steps=3", "--model.search.pop_size=5")
    for resumed in ((), ("--ckpt_path=last",)):  # in the drives of the second generation, then on the fixed tracks
        drives: list[int] = []

        def stopped(pool: Pool, tasks: list, drives: list[int] = drives) -> list:
            drives.append(len(tasks))
            if len(drives) == 2:
                signal.raise_signal(signal.SIGTERM)
                raise AssertionError("the drives went on")
            return ordinary(pool, tasks)

        with monkeypatch.context() as patch:
            patch.setattr(Pool, "map", stopped)
            with pytest.raises(SystemExit) as ended:
                fit(memory, tmp_path, "stopped", *words, *resumed)
        assert ended.value.code == 128 + signal.SIGTERM
    assert fit(memory, tmp_path, "stopped", *words, "--ckpt_path=last") == 0
    assert_the_same_search(whole, tmp_path / "controller" / "stopped")


def test_a_search_in_a_dream(memory: Path, tmp_path: Path) -> None:
    assert fit(memory, tmp_path, "dreamer", "--trainer.max_steps=2", config="controller_dream") == 0
    assert searched(tmp_path / "controller" / "dreamer")["state_dict"]["best_return"] > -100


def test_missing_inputs_are_reported(memory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(memory, tmp_path, "none", "--model.memory=null") == 2
    assert "make mdnrnn" in capsys.readouterr().err


def test_candidates_drive_together_as_each_would_alone() -> None:
    torch.manual_seed(0)
    module = Controller()
    work = DrivePopulation(module.world, module.frames, max_frames=12)
    parameters = np.random.default_rng(0).normal(0, 0.3, (3, 867))
    together = work(DriveTask(parameters, [10_000, 10_001, 10_000]))
    alone = [work(DriveTask(parameters[row : row + 1], [seed]))[0] for row, seed in enumerate([10_000, 10_001, 10_000])]
    np.testing.assert_allclose(together, alone, atol=1e-3)
    assert together[0] != together[2]


def test_two_processes_search_as_one_does(memory: Path, whole: Path, tmp_path: Path) -> None:
    ddp = ["--config", str(ROOT / "configs" / "strategy" / "ddp.yaml")]
    words = words_of(memory, tmp_path, "two", *ddp, "--trainer.max_steps=3", "--model.search.pop_size=5")
    done = subprocess.run([sys.executable, "-m", "racing_vpt", *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    one, two = searched(whole), searched(tmp_path / "controller" / "two")
    assert all(torch.equal(value, two["evolution"][name]) for name, value in one["evolution"].items())
    assert torch.equal(one["state_dict"]["controller"], two["state_dict"]["controller"])


def test_a_candidate_without_gains_is_stopped_and_not_overestimated() -> None:
    module = Controller(frames=replace(load_game("carracing").world_frames, stride=3))
    asleep = np.zeros((1, 867))
    asleep[0, -2] = -9  # no throttle
    work = DrivePopulation(module.world, module.frames)
    begun = time.perf_counter()
    stopped = work(DriveTask(asleep, [10_000], patience=30))[0]
    halfway = time.perf_counter()
    awake = work(DriveTask(asleep, [10_000]))[0]
    assert stopped == pytest.approx(awake, abs=1e-6)
    assert halfway - begun < (time.perf_counter() - halfway) / 3


def test_controls_are_held_for_the_stride() -> None:
    parameters = np.random.default_rng(0).normal(0, 0.3, (1, 867))
    torch.manual_seed(0)
    module = Controller(frames=replace(load_game("carracing").world_frames, stride=3))
    earned = DrivePopulation(module.world, module.frames, max_frames=30)(DriveTask(parameters, [10_000]))
    module.controller.data.copy_(torch.from_numpy(parameters[0]))
    agent = CheckpointAgent(module)
    result = run_episode(make_env("racing_vpt/CarRacingFast-v3"), agent, 10_000, max_frames=30)
    assert earned[0] == pytest.approx(result.score, abs=1e-6)


def test_a_search_begins_where_another_ended(
    memory: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = searched(whole)["state_dict"]["controller"]
    start = f"--model.init_from={whole}"
    assert fit(memory, tmp_path, "second", start, "--trainer.max_steps=1", "--model.search.sigma=1e-6") == 0
    assert torch.allclose(searched(tmp_path / "controller" / "second")["state_dict"]["controller"], found, atol=1e-3)
    capsys.readouterr()
    assert fit(memory, tmp_path, "third", start, "--model.memory_use=zero", "--model.width=128") == 2
    assert "init_from" in capsys.readouterr().err


def test_a_dream_is_a_vector_environment() -> None:
    torch.manual_seed(0)
    world = MemoryWorld(VAENet(), MemoryNet(), DRIVEN, copies=3)
    env = DreamEnv(world, torch.zeros(2, 64), 6, tau=1.0, max_steps=3)
    seen, _ = env.reset(seed=1)
    assert env.observation_space.contains(seen)
    assert np.array_equal(seen[:2], seen[2:4])  # copies begin alike
    action, cut_at = np.zeros((6, 3), np.float32), np.zeros(6, int)
    for step in range(1, 4):
        seen, reward, ended, cut, _ = env.step(action)
        assert seen.shape == (6, 288)
        assert reward.shape == (6,)
        cut_at[cut & (cut_at == 0)] = step
        assert np.array_equal(ended[:2], ended[4:])  # and have the same luck
    assert {*cut_at.tolist()} <= {0, 3}
    done = ended | cut
    seen, reward, *_ = env.step(action)
    assert not reward[done].any()
    assert not seen[done, 32:].any()  # a new dream remembers nothing
    with pytest.raises(ValueError, match="outcomes true"):
        MemoryWorld(VAENet(), MemoryNet(outcomes=False), DRIVEN)


def test_the_same_controllers_dream_the_same() -> None:
    world = Controller().world
    parameters = np.repeat(np.random.default_rng(0).normal(0, 0.3, (1, 867)), 2, 0)
    earned = dream_returns(world, torch.zeros(1, 64), parameters, [1, 2], 1.0, 5).mean(1)
    assert earned[0] == pytest.approx(earned[1])
