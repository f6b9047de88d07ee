"""What a checkpoint's checksum covers, which of a run's checkpoints is the newest, and parts of a wrong kind."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from racing_vpt.checkpoints.folder import save_checkpoint
from racing_vpt.checkpoints.integrity import newest_whole
from racing_vpt.checkpoints.lightning_run import best_of_run, read_lightning
from racing_vpt.checkpoints.load import load_module, read_checkpoint, zoo_names
from racing_vpt.models.vpt import VPT
from racing_vpt.models.vpt_config import PolicyConfig
from racing_vpt.types import FrameSpec
from racing_vpt.verbs.verify import verify
from tests.faults.harness import note

ARGUMENTS = {"frames": {"height": 16, "width": 16}, "network": {"size": "tiny", "recurrence_layers": 1}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of ours, to be changed."""
    policy = VPT(frames=FrameSpec(16, 16), network=PolicyConfig("tiny", recurrence_layers=1))
    save_checkpoint(tmp_path / "policy", "racing_vpt.models.vpt.VPT", ARGUMENTS, policy.state_dict(), {"score": 912.5})
    return tmp_path / "policy"


def settings_of(folder: Path, **changed: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changed}))


def saved(path: Path, step: int, clock: float, **parts: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    torch.save({"state_dict": {"weight": torch.ones(2)}, "global_step": step, **parts}, path)
    os.utime(path, (clock, clock))
    return path


def test_a_changed_setting_dtype_or_shape_is_noticed(folder: Path) -> None:
    whole = (folder / "config.json").read_text()
    settings_of(folder, init_args={**ARGUMENTS, "network": {"size": "tiny", "recurrence_layers": 1, "temperature": 7}})
    with pytest.raises(ValueError, match="not those that were written"):
        read_checkpoint(folder)
    settings_of(folder, score=913)
    with pytest.raises(ValueError, match="not those that were written"):
        read_checkpoint(folder)
    (folder / "config.json").write_text(whole)
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    name = content.index(b'"net.final_ln.weight"')
    for old, new in ((b'"F32"', b'"I32"'), (b"[128]", b"[1,128]")):
        at = content.index(old, name)
        header = content[8:at] + new + content[at + len(old) :]
        length = int.from_bytes(content[:8], "little") + len(new) - len(old)
        weights.write_bytes(length.to_bytes(8, "little") + header)
        with pytest.raises(ValueError, match="not those that were written"):
            read_checkpoint(folder)
    weights.write_bytes(content)
    assert read_checkpoint(folder).not_covered == ""


def test_checkpoints_from_before_settings_were_covered_are_read_and_say_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["content_sha256"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="lacks content_sha256"):
        read_checkpoint(folder)
    (folder / "config.json").write_text(json.dumps({**config, "format": 2}))
    assert read_checkpoint(folder).not_covered.startswith("settings, dtypes and shapes")
    assert load_module(folder) is not None
    verify(str(folder))
    assert "not covered by a checksum: settings" in capsys.readouterr().out
    assert not [name for name in zoo_names() if read_checkpoint(f"zoo:{name}").not_covered]


def test_settings_of_any_kind_are_refused_in_one_line(folder: Path) -> None:
    deep: object = []
    for _ in range(300):
        deep = [deep]
    size = {"attention_heads": 8, "attention_memory_size": 256, "timesteps": 128}
    network = {"size": {**size, "hidsize": 40_000, "n_recurrence_layers": 4}}
    layers = {"size": {**size, "hidsize": 32, "n_recurrence_layers": 10**9}}
    cases: list[dict[str, object]] = [
        {"class_path": 7}, {"init_args": []}, {"init_args": {"frames": deep}}, {"format": "2"}, {"format": None},
        {"init_args": {**ARGUMENTS, "network": network}}, {"init_args": {**ARGUMENTS, "network": layers}},
        {"class_path": "racing_vpt.models.vpt"}, {"class_path": "racing_vpt..x"}, {"init_args": {"nonsense": 1}},
        {"fingerprint": 3},
    ]  # fmt: skip
    whole, survived = (folder / "config.json").read_text(), 0
    for case in cases:
        (folder / "config.json").write_text(whole)
        settings_of(folder, **{"format": 2, **case})
        with pytest.raises(ValueError, match="policy"):
            load_module(folder)
        survived += 1
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"config\.json is not JSON"):
        load_module(folder)
    note("settings of a checkpoint of wrong kinds and sizes", len(cases) + 1, survived + 1)


def test_the_newest_checkpoint_is_the_one_of_the_highest_step(tmp_path: Path) -> None:
    runs = tmp_path / "checkpoints"
    late = saved(runs / "step-200.ckpt", 200, clock=1e9)
    saved(runs / "step-100.ckpt", 100, clock=2e9)  # the clock was set back meanwhile
    assert newest_whole(runs / "last.ckpt")[0] == late
    assert best_of_run(runs) == late
    for name in ("best-a.ckpt", "best-b.ckpt"):
        state = {"ModelCheckpoint": {"best_model_path": f"there/{late.name.replace('step-200', 'best-a')}"}}
        saved(runs / name, 150 if name == "best-b.ckpt" else 120, clock=1.5e9, callbacks=state)
    saved(runs / "step-200.ckpt", 200, clock=1e9, callbacks=state)
    assert best_of_run(runs).name == "best-a.ckpt"


def test_parts_of_a_wrong_kind_and_sizes_that_lie_are_refused_in_one_line(tmp_path: Path) -> None:
    run = tmp_path / "run" / "checkpoints"
    run.parent.mkdir()
    ring: list[object] = []
    ring.append(ring)
    one = torch.ones(1)
    cases: list[dict[str, object]] = [
        {"hyper_parameters": [1]}, {"state_dict": [one]}, {"state_dict": {"a": 3}}, {"state_dict": {3: one}},
        {"state_dict": {"a": ring}},
        {"callbacks": [7]}, {"callbacks": {"a": 1}}, {"optimizer_states": {"a": 1}}, {"optimizer_states": [1]},
        {"global_step": "many"}, {"hyper_parameters": {"_class_path": 9}}, {"loops": 3}, {"resolved": 1},
        {"state_dict": {"a": one.expand(1 << 40)}}, {"extra": one.expand(1 << 30)},
        {"extra": torch.ones(1, device="meta")},
    ]  # fmt: skip
    survived = 0
    for case in cases:
        path = saved(run / "last.ckpt", 1, 1e9, **case)
        with pytest.raises(ValueError, match=r"last\.ckpt"):
            read_lightning(path)
        if case.keys() != {"hyper_parameters"} or isinstance(case["hyper_parameters"], list):
            with pytest.raises(ValueError, match=r"last\.ckpt"):
                newest_whole(path)
        survived += 1
    saved(run / "last.ckpt", 1, 1e9)
    configs = (
        "model:\n  class_path: [x\n",
        "model: 3",
        "[]",
        "&a [*a]",
        "model: {class_path: x, init_args: 3}",
        "\0",
    )
    for text in configs:
        (run.parent / "config.yaml").write_text(text)
        with pytest.raises(ValueError, match=r"config\.yaml"):
            read_lightning(run / "last.ckpt")
        survived += 1
    note("a training checkpoint or its config.yaml of wrong kinds", len(cases) + len(configs), survived)
