"""IRIS: three parts in one loop, offline and online; resuming, and bad input."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from building import build, nested

from racing_vpt.agents.checkpoint import load_driver
from racing_vpt.checkpoints.load import load_module, read_checkpoint, save_checkpoint
from racing_vpt.cli.main import main
from racing_vpt.data.recording import Recording
from racing_vpt.models.iris import IRIS, PARTS
from racing_vpt.models.iris_batch import TokenCache, token_segments
from racing_vpt.models.iris_config import PartTraining
from racing_vpt.models.parts import load_world
from racing_vpt.models.token_world import TokenWorld
from racing_vpt.models.tokenizer import Tokenizer
from racing_vpt.rollout.actors import Actors
from racing_vpt.rollout.lanes import LaneStates
from racing_vpt.types import PartBatch, Segments

CONFIGS = Path(__file__).parents[2] / "configs"
EYE = {"channels": [8, 8], "res_blocks": 1, "attention": [], "middle": 1, "patch": 8, "width": 8, "norm_groups": 4}
GPT = {"layers": 1, "width": 16, "heads": 2, "window": 4, "dropout": 0.1}
AGENT = {"channels": [4, 4, 4, 4], "pool": False, "width": 8, "code_width": 8}
FRAMES = {"height": 64, "width": 64, "crop_bottom": 0.125, "stride": 3}
SMALL = {
    "tokenizer.size": EYE, "world.size": GPT, "actor.size": AGENT, "tokenizer.vocabulary": 32,
    "reconstruction.perceptual": None, "tokenizer.quantizer": "vq", "world.architecture": "gpt", "dreams.reuse": 1,
    "training.world_frames": 6, "dreams.burn_in": 2, "dreams.horizon": 3, "frames": FRAMES,
}  # fmt: skip
torch.set_num_threads(1)


def merge(one: dict, other: dict) -> dict:
    """Nested dictionaries merged, the other's values in front; sizes replace each other."""
    merged = dict(one)
    for key, value in other.items():
        nests = isinstance(value, dict) and isinstance(merged.get(key), dict) and key != "size"
        merged[key] = merge(merged[key], value) if nests else value
    return merged


def config(folder: Path, *names: str, parts: tuple[dict, dict, dict], more: dict | None = None) -> list[str]:
    """Command-line words for configs/base.yaml and these configs, made small, with short drives."""
    merged: dict = {}
    for name in names:
        given = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
        for part, options in given.items():
            kept = merged.setdefault(part, {})
            arguments = merge(kept.get("init_args", {}), options.pop("init_args", {}))
            kept |= options | ({"init_args": arguments} if arguments else {})
    least = {"batch_size": 4, "start_epoch": 0}
    trainings = {f"training.{part}": {**least, **given} for part, given in zip(PARTS, parts, strict=True)}
    init_args = merged["model"]["init_args"]
    init_args.get("training", {}).clear()
    merged["model"]["init_args"] = merge(init_args, nested(SMALL | trainings | (more or {})))
    validation = {"rows": 2, "frames": 12, "steps": 1}
    few = {"validation": validation, "collecting": {"warm_up": 16}, "capacity": 400}
    merged["data"]["init_args"] = merge(merged["data"]["init_args"], few)
    merged["trainer"] |= {"check_val_every_n_epoch": 2, "log_every_n_steps": 1}
    for callback in merged["trainer"]["callbacks+"]:
        options = callback.setdefault("init_args", {})
        if callback["class_path"].endswith("RolloutValidation"):
            options |= {"episodes": 1, "max_frames": 9, "env": "racing_vpt/CarRacingFast-v3"}
        if callback["class_path"].endswith("Collection"):
            options |= {"lanes": 2, "max_frames": 45}
        if callback["class_path"].endswith("EpisodeFilms"):
            options |= {"max_frames": 9, "dreamt": 5, "keep": 1, "every_n_validations": 1}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(merged))
    return ["--config", str(CONFIGS / "base.yaml"), "--config", str(path), f"--data.reading.codes={folder}/codes"]


def fit(runs: Path, words: list[str], name: str, epochs: int, *more: str) -> int:
    return main(["fit", *words, f"--runs={runs}", f"--name={name}", f"--trainer.max_epochs={epochs}", *more])


def saved(runs: Path, name: str, which: str = "last") -> dict:
    return torch.load(runs / "iris" / name / "checkpoints" / f"{which}.ckpt", weights_only=True)


def differences(one: object, other: object, where: str = "") -> list[str]:
    """Differences between two checkpoints."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [key for key in {**one, **other} if key not in ("best_model_path", "dirpath", "last_model_path")]
        return [found for key in keys for found in differences(one.get(key), other.get(key), f"{where}/{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        return [x for at, (a, b) in enumerate(zip(one, other, strict=True)) for x in differences(a, b, f"{where}/{at}")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if torch.equal(one, other) else [where]
    return [] if one == other else [where]


PART = {"steps": 2, "lr": 1e-3}
ALL = (PART | {"end_epoch": 3}, PART | {"start_epoch": 1}, PART | {"start_epoch": 1})


@pytest.fixture(scope="module")
def whole(tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Folder of an uninterrupted loop of four epochs, and the words of its command line. Read only."""
    runs = tmp_path_factory.mktemp("whole")
    words = config(runs, "iris", parts=ALL)
    words += [f"--data.recordings={tiny_shards}", "--data.collecting.decisions=12"]
    assert fit(runs, words, "whole", 4) == 0
    return runs, words


def test_a_resumed_loop_equals_an_uninterrupted_one(whole: tuple[Path, list[str]], tmp_path: Path) -> None:
    runs, words = whole
    assert fit(tmp_path, words, "stopped", 2) == 0
    at_the_stop = saved(tmp_path, "stopped")
    run = tmp_path / "iris" / "stopped"
    assert main(["fit", "--config", str(run / "config.yaml"), "--ckpt_path=last", "--trainer.max_epochs=4"]) == 0
    unbroken, stopped = saved(runs, "whole"), saved(tmp_path, "stopped")
    for name in ("state_dict", "optimizer_states", "memo", "SegmentDataModule"):
        assert not differences(unbroken[name], stopped[name]), name
    ours = [key for key in unbroken["callbacks"] if key.startswith(("Collection", "RolloutValidation"))]
    for each in (unbroken, stopped):
        for key in ours:
            for clock in ("seconds", "curve_episodes", "curve_drives"):
                each["callbacks"][key].pop(clock, None)
    assert not differences(*({key: each["callbacks"][key] for key in ours} for each in (unbroken, stopped)))
    assert differences(at_the_stop["state_dict"], stopped["state_dict"])
    lived = unbroken["callbacks"][next(key for key in ours if key.startswith("Collection"))]
    assert lived["episodes"].tolist() == [2, 2]  # 26 decisions of each lane, 15 to an episode and one to begin anew
    assert unbroken["state_dict"]["updates"].tolist() == [6, 6, 6]
    assert (run / "replay" / "0").is_dir()
    pictures = {path.stem.split("-")[0] for path in (run / "media" / "reconstructions").iterdir()}
    assert pictures == {"imagined", "reconstructions"}
    for kind, frames in (("train", 15), ("test", 9), ("imagination", 5)):
        films = sorted(path.name for path in (run / "media" / "episodes" / kind).iterdir())
        name = f"{kind}-00000018-0001"
        assert films == [f"{name}{suffix}" for suffix in (".jsonl", ".meta.json", ".mp4")]  # the newest alone is kept
        records = Recording.open(run / "media" / "episodes" / kind / films[1]).records()
        assert len(records) <= frames
        assert tuple(records[0].action)[:3] == ("steering", "throttle", "brake")
        assert [record.first for record in records] == [True] + [False] * (len(records) - 1)


def test_a_loop_that_a_signal_stops_within_an_epoch_goes_on_where_it_was(
    whole: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, words = whole
    learn, updates = IRIS.training_step, []

    def stopped_in_the_tenth(module: IRIS, work: PartBatch, batch_idx: int) -> None:
        learn(module, work, batch_idx)
        updates.append(batch_idx)
        if len(updates) == 10:  # of the second epoch's six the fourth
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(IRIS, "training_step", stopped_in_the_tenth)
    with pytest.raises(SystemExit) as stop:
        fit(tmp_path, words, "stopped", 4)
    assert stop.value.code == 128 + signal.SIGTERM
    assert len(updates) == 10
    monkeypatch.setattr(IRIS, "training_step", learn)
    run = tmp_path / "iris" / "stopped"
    assert main(["fit", "--config", str(run / "config.yaml"), "--ckpt_path=last"]) == 0
    unbroken, stopped = saved(runs, "whole"), saved(tmp_path, "stopped")
    for name in ("state_dict", "optimizer_states", "memo", "SegmentDataModule"):
        assert not differences(unbroken[name], stopped[name]), name


def test_a_loop_that_a_signal_stops_in_its_drive_takes_the_remaining_decisions(
    whole: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, words = whole
    wait, waits = Actors.collect, []

    def stopped_in_the_twelfth(actors: Actors) -> tuple[LaneStates, np.ndarray]:
        waits.append(actors)
        if len(waits) == 12:  # the start, eight before the first epoch, two of the second's six
            signal.raise_signal(signal.SIGTERM)
        return wait(actors)

    monkeypatch.setattr(Actors, "collect", stopped_in_the_twelfth)
    with pytest.raises(SystemExit) as stop:
        fit(tmp_path, words, "stopped", 4)
    assert stop.value.code == 128 + signal.SIGTERM
    assert len(waits) == 12
    monkeypatch.setattr(Actors, "collect", wait)
    run = tmp_path / "iris" / "stopped"
    assert main(["fit", "--config", str(run / "config.yaml"), "--ckpt_path=last"]) == 0
    unbroken, stopped = saved(runs, "whole"), saved(tmp_path, "stopped")
    for name in ("state_dict", "optimizer_states", "memo"):
        assert not differences(unbroken[name], stopped[name]), name
    decisions = [
        next(state for key, state in each["callbacks"].items() if key.startswith("Collection"))["decisions"]
        for each in (unbroken, stopped)
    ]
    assert decisions[0] == decisions[1] == 16 + 3 * 12


def test_an_mdn_rnn_takes_the_transformers_place_in_the_loop_and_in_the_play_tool(
    tiny_shards: Path, tmp_path: Path
) -> None:
    at_once = PART | {"start_epoch": 0}
    words = config(tmp_path, "iris", parts=(at_once, at_once, at_once), more={"world.architecture": "mdn-rnn"})
    assert fit(tmp_path, [*words, f"--data.recordings={tiny_shards}", "--data.collecting.decisions=0"], "loop", 2) == 0
    state, run = saved(tmp_path, "loop")["state_dict"], tmp_path / "iris" / "loop"
    assert (state["updates"] > 0).all()
    assert "world.net.blocks.lstm.bias" in state
    film = tmp_path / "dream.mp4"
    assert main(["play", str(run), "--world_model", f"--out={film}", "--keys=up*4 left*2"]) == 0
    assert film.stat().st_size > 0


def test_recordings_alone_teach_an_actor_that_drives(
    tiny_shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    arguments = {"tokenizer": {"size": EYE, "vocabulary": 32}, "world": {"size": GPT}, "frames": FRAMES}
    world = build(TokenWorld, arguments)
    save_checkpoint(tmp_path / "world", "racing_vpt.models.token_world.TokenWorld", arguments, world.state_dict())
    nothing = {"steps": 0}
    words = config(tmp_path, "iris", "iris/tiny", parts=(nothing, nothing, PART | {"start_epoch": 0}))
    words += [
        f"--data.recordings={tiny_shards}",
        "--data.collecting.decisions=0",
        f"--model.init_world={tmp_path}/world",
    ]
    imitating = ["--model.learning.imitate_updates=1", "--model.learning.imitate_weight=0.1"]
    assert fit(tmp_path, words, "offline", 2, *imitating) == 0
    made = list((tmp_path / "codes").glob("*.npy"))
    assert len(made) == 1  # a tokenizer that stays the same codes recordings once
    after = saved(tmp_path, "offline")["state_dict"]
    taken = {name: x for name, x in after.items() if name.startswith("world.") and "start" not in name}
    assert not differences(taken, {f"world.{name}": x for name, x in world.state_dict().items() if "start" not in name})
    assert after["updates"].tolist() == [0, 0, 4]
    run = tmp_path / "iris" / "offline"
    again = build(TokenWorld, arguments)
    load_world(again, again.frames, read_checkpoint(run), str(run))
    assert not differences({f"world.{name}": x for name, x in again.state_dict().items() if "start" not in name}, taken)
    drive = ["drive", "--checkpoint", str(run), "--env=racing_vpt/CarRacingFast-v3", "--seeds=1000-1001"]
    assert main([*drive, "--max_frames=12", "--workers=1", f"--json={tmp_path}/drive.json"]) == 0
    assert len(json.loads((tmp_path / "drive.json").read_text())["returns"]) == 2
    module = load_module(run)
    assert isinstance(module, IRIS)
    agent, frames = load_driver(str(run)), np.random.default_rng(0).integers(256, size=(4, 96, 96, 3)).astype(np.uint8)
    together = [agent.act_batch(frames, np.full(4, step == 0)) for step in range(4)]
    alone = load_driver(str(run))
    assert [alone.act_batch(frames[:1], np.full(1, step == 0))[0] for step in range(4)] == [
        pytest.approx(said[0], abs=1e-5) for said in together
    ]
    assert agent.repeat == 3
    assert main(["export-weights", str(run), str(tmp_path / "small")]) == 0
    exported = load_module(tmp_path / "small")
    assert isinstance(exported, IRIS)
    own = {name: x for name, x in module.state_dict().items() if not name.startswith("target_critic.")}
    assert not differences({name: x for name, x in exported.state_dict().items() if name in own}, own)
    assert not differences(dict(exported.target_critic.net.state_dict()), dict(exported.agent.state_dict()))
    assert "init_world" not in json.loads((tmp_path / "small" / "config.json").read_text())["init_args"]
    assert fit(tmp_path, words, "offline", 2, "--ckpt_path=last", "--model.learning.gamma=0.5") == 2
    assert "gamma" in capsys.readouterr().err
    words = config(tmp_path, "iris", "iris/tiny", "iris/settle", parts=(nothing, PART, nothing))
    words += [f"--data.recordings={tiny_shards}", "--data.collecting.decisions=12", f"--model.init_from={run}"]
    assert fit(tmp_path, words, "settled", 2) == 0  # the actor drives, and the world model alone learns from it
    changed = differences(saved(tmp_path, "settled")["state_dict"], after)
    assert any(name.startswith("/world.net.") for name in changed)
    assert not [name for name in changed if name.startswith(("/agent.", "/world.tokenizer."))]


def test_bad_input_is_refused_in_one_line(
    tiny_shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    for name, more in (
        ("eye", {}),
        ("words", {"tokenizer.vocabulary": 16}),
        ("fast", {"frames": FRAMES | {"stride": 1}}),
    ):
        arguments = {"tokenizer.size": EYE, "tokenizer.vocabulary": 32, "frames": FRAMES, **more}
        state = build(Tokenizer, arguments).state_dict()
        save_checkpoint(tmp_path / name, "racing_vpt.models.tokenizer.Tokenizer", nested(arguments), state)
    words = config(tmp_path, "iris", "iris/tiny", parts=(PART, PART, PART))
    given = [*words, f"--data.recordings={tiny_shards}", "--data.collecting.decisions=0"]
    for more, message in (
        (f"--model.init_tokenizer={tmp_path}/words", "--model.tokenizer.vocabulary 16"),
        (f"--model.init_tokenizer={tmp_path}/fast", "but this model's frames are"),
        (f"--model.init_world={tmp_path}/eye", "make iris-world"),
        (f"--model.init_tokenizer={tmp_path}/nobody", "does not exist"),
        ("--model.scheme=buttons-nes", "controls come with the game now"),
        ("--data.recordings=null", "--data.recordings data/shards/rollouts"),
        ("--model.training.tokenizer.steps=0", "so it has to be given"),
        ("--model.training.world.batch_size=x", "Expected a int"),
        ("--model.frames.height=x", "Expected a int"),
        ("--model.dreams.horizon=0", "horizon and reuse must be at least 1"),
        ("--model.training.agent.lr=-1", "lr and clip must be above 0"),
    ):
        assert fit(tmp_path, given, "bad", 1, more) == 2
        assert message in capsys.readouterr().err, more
    plain = [word for word in words if not word.startswith("--data")]
    assert main(["fit", *plain, "--data.class_path=ClipDataModule", f"--runs={tmp_path}", "--name=bad"]) == 2


def test_each_part_learns_in_its_epochs_and_counts_its_own_updates() -> None:
    module = build(IRIS, SMALL | {
        "training.tokenizer": PartTraining(2, end_epoch=1, batch_size=3), "training.world": PartTraining(1, 1),
        "training.agent": PartTraining(2, 0), "learning.imitate_updates": 3,
    })  # fmt: skip
    wanted = [module.wanted(step) for step in range(10)]
    assert [one.part for one in wanted] == 2 * ["tokenizer", "tokenizer", "world", "agent", "agent"]
    assert [one.rows for one in wanted] == [3, 3, 0, 64, 64, 0, 0, 64, 64, 64]
    assert [one.frames for one in wanted[3:5]] == [6, 6]  # burn-in, a frame, and as long as a dream: it imitates
    assert [one.frames for one in wanted[8:]] == [6, 3]
    assert PartTraining(10, 2, 5).total(4) == 20
    assert PartTraining(10, 2, 5).total(40) == 30
    assert PartTraining(10, 2).total(-1) == float("inf")


def test_entropy_is_worth_less_and_less_over_the_updates_that_there_are() -> None:
    weights = {"learning.entropy_weight": 0.1, "learning.entropy_end": 0.02}
    module = build(IRIS, SMALL | {"dreams.reuse": 2, "training.agent": PartTraining(2, 1)} | weights)
    module.trainer = SimpleNamespace(max_epochs=6)  # type: ignore[assignment]
    assert module.total_updates("agent") == 20  # five epochs of two dreams of two updates
    worth = []
    for done in (0, 10, 20, 30):
        module.updates[PARTS.index("agent")] = done
        worth.append(module.entropy_weight)
    assert worth == pytest.approx([0.1, 0.06, 0.02, 0.02])
    assert build(IRIS, SMALL | {"learning.entropy_weight": 0.1}).entropy_weight == 0.1


def test_a_cache_encodes_each_frame_once_until_it_forgets() -> None:
    asked: list[int] = []

    def code(frames: torch.Tensor) -> torch.Tensor:
        asked.append(len(frames))
        return frames.flatten(1)[:, :2].long()

    memo, frames = TokenCache(2, most=3), torch.arange(12, dtype=torch.uint8).view(2, 2, 1, 1, 3)
    index = torch.tensor([[5, 7], [7, 9]])
    found = memo.tokens(frames, index, code)
    assert found[0].tolist() == [[0, 1], [6, 7]]
    assert found[1].tolist() == [[6, 7], [9, 10]]  # the number tells which frame it is
    assert torch.equal(memo.tokens(frames, index, code), found)
    assert asked == [3]
    again = TokenCache(2)
    again.restore(memo.state())
    assert torch.equal(again.tokens(frames, index, code), found)
    memo.tokens(frames[:1, :1], torch.tensor([[1]]), code)
    assert list(memo.known) == [7, 9, 1]  # the oldest went
    memo.forget()
    memo.tokens(frames, index, code)
    assert asked == [3, 1, 3]


def test_an_end_is_known_where_it_is_told_or_something_follows() -> None:
    T, yes = 4, torch.ones(3, 4, dtype=torch.bool)
    valid, terminated = yes.clone(), ~yes
    valid[0, 2:] = False  # the recording is over after its second frame, nobody knows why
    valid[1, 2:], terminated[1, 1] = False, True  # and here it is told
    segments = Segments(
        torch.zeros(3, T, 1, 1, 3), torch.zeros(3, T, 3), torch.zeros(3, T), ~yes, terminated, ~yes, valid
    )
    found = token_segments([segments], [torch.zeros(3, T, 2, dtype=torch.int64)])
    assert found.ended_known.tolist() == [[True] + 3 * [False], [True, True, False, False], 3 * [True] + [False]]
    assert found.ended.sum() == 1
