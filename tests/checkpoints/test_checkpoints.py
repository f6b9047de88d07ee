"""Checkpoints: what is read, what is refused, and that nothing in a file is executed."""

import json
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint

from racing_vpt.checkpoints.folder import fingerprint, save_checkpoint
from racing_vpt.checkpoints.load import export_run, load_module, load_strictly, read_checkpoint
from racing_vpt.checkpoints.openai import openai_settings, read_openai_model, read_openai_weights
from racing_vpt.models.dqn import DQN
from racing_vpt.models.dqn_config import QNetConfig
from racing_vpt.models.vpt import VPT
from racing_vpt.models.vpt_config import PolicyConfig
from racing_vpt.nn.sizes import NetSize
from racing_vpt.types import Batch, FrameSpec

PARITY = Path(__file__).parents[1] / "vpt_parity"
VPT_PATH = "racing_vpt.models.vpt.VPT"
ARGUMENTS = {"frames": {"height": 16, "width": 16}, "network": {"size": "tiny", "recurrence_layers": 1}}


def tiny_policy() -> VPT:
    torch.manual_seed(0)
    return VPT(frames=FrameSpec(16, 16), network=PolicyConfig("tiny", recurrence_layers=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder; tests that damage it use a copy."""
    path = tmp_path_factory.mktemp("checkpoints") / "policy"
    save_checkpoint(path, VPT_PATH, ARGUMENTS, tiny_policy().state_dict(), {"score": 912.5}, "# A policy\n")
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def lightning_run(path: Path, scores: dict[str, float]) -> Path:
    """A run folder by Lightning, with a checkpoint for each name in `scores`."""
    (path / "checkpoints").mkdir(parents=True)
    best = max(scores, key=lambda name: scores[name] if name.startswith("best") else -1)
    for name, score in scores.items():
        torch.save(
            {
                "epoch": 1, "global_step": 10, "state_dict": {"weight": torch.full((2,), score)},
                "hyper_parameters": {"_class_path": VPT_PATH, "_instantiator": "x", "network": {"size": "tiny"}},
                "callbacks": {"ModelCheckpoint{'monitor': 'val/loss'}": {"best_model_path": f"/elsewhere/{best}"}},
            },
            path / "checkpoints" / name,
        )  # fmt: skip
    return path


class Payload:
    """Pickles to a call of any function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def model_dict(temperature: object = 2.0, **net: object) -> dict:
    """Content of a `.model` file."""
    return {"model": {"args": {"net": {"args": {
        "hidsize": 32, "attention_heads": 4, "n_recurrence_layers": 2, "attention_memory_size": 32, "timesteps": 16,
        "impala_chans": [4, 8, 8], "img_shape": [128, 128, 3], **net,
    }}, "pi_head_opts": {"temperature": temperature}}}}  # fmt: skip


def test_a_saved_checkpoint_comes_back_bit_for_bit_with_its_settings(folder: Path) -> None:
    for name in (folder, str(folder), folder / "model.safetensors"):
        checkpoint = read_checkpoint(name)
        own = tiny_policy().state_dict()
        assert checkpoint.class_path == VPT_PATH
        assert checkpoint.init_args == ARGUMENTS
        assert checkpoint.extra == {"score": 912.5}
        assert checkpoint.state_dict.keys() == own.keys()
        assert all(torch.equal(checkpoint.state_dict[key], own[key]) for key in own)
        assert checkpoint.fingerprint == fingerprint(own)
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_fingerprint_depends_on_names_and_values_and_not_on_their_order() -> None:
    a, b = torch.ones(3), torch.zeros(2, dtype=torch.bfloat16)
    assert fingerprint({"a": a, "b": b}) == fingerprint({"b": b, "a": a})
    assert len({fingerprint(x) for x in ({"a": a}, {"c": a}, {"a": 2 * a})}) == 3


def test_load_module_builds_the_class_in_evaluation_mode_with_its_weights(folder: Path) -> None:
    module = load_module(folder, expected="VPT")
    assert isinstance(module, VPT)
    assert not module.training
    assert all(torch.equal(x, y) for x, y in zip(module.parameters(), tiny_policy().parameters(), strict=True))


def test_a_network_whose_settings_are_written_out_is_built_from_them(tmp_path: Path) -> None:
    size = {"hidsize": 32, "attention_heads": 2, "impala_chans": [4, 8], "n_recurrence_layers": 1}
    arguments = {
        "frames": {"height": 16, "width": 16},
        "network": {"size": size},
        "optimizer": {"class_path": "torch.optim.SGD"},
    }
    policy = VPT(frames=FrameSpec(16, 16), network=PolicyConfig(NetSize(**size)))
    save_checkpoint(tmp_path, VPT_PATH, arguments, policy.state_dict())
    loaded = load_module(tmp_path)
    assert isinstance(loaded, VPT)
    assert loaded.size == policy.size


def test_a_checkpoint_of_another_class_is_an_error_that_names_both(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"holds a racing_vpt.models.vpt.VPT, but IDM is needed"):
        load_module(folder, expected="IDM")


@pytest.mark.parametrize("class_path", ["os.system", "racing_vptx.models.VPT", "racing_vpt.models.vpt.detached"])
def test_classes_that_are_no_models_of_ours_are_refused(copy: Path, class_path: str) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"class_path": class_path, "format": 2}))
    with pytest.raises(ValueError, match=class_path.replace(".", r"\.")):
        load_module(copy)


def test_weights_that_do_not_fit_are_named(copy: Path) -> None:
    state = dict(tiny_policy().state_dict())
    state["strange"] = torch.zeros(1)
    del state["net.final_ln.bias"]
    state["net.final_ln.weight"] = torch.zeros(3)
    save_checkpoint(copy, VPT_PATH, ARGUMENTS, state)
    with pytest.raises(
        ValueError, match=r"missing: net\.final_ln\.bias; unexpected: strange; .*\(3,\) instead of \(128,\)"
    ):
        load_module(copy)


@pytest.mark.parametrize("keep", [0, 7, 100, 20_000])
def test_a_cut_weights_file_is_an_error_that_names_it(copy: Path, keep: int) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"model\.safetensors is not a complete safetensors file"):
        read_checkpoint(copy)


def test_weights_and_settings_of_different_checkpoints_are_noticed(copy: Path) -> None:
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match="fingerprint"):
        read_checkpoint(copy)


def test_a_missing_checkpoint_is_answered_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="zoo:nonsense is not in the zoo, which holds"):
        read_checkpoint("zoo:nonsense")
    with pytest.raises(FileNotFoundError, match=r"does not exist; expected a run folder"):
        read_checkpoint(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"is not a checkpoint; expected a run folder"):
        read_checkpoint(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(FileNotFoundError, match=r"holds no \.ckpt yet"):
        read_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(FileNotFoundError, match=r"lacks model\.safetensors"):
        read_checkpoint(tmp_path)


def test_a_run_folder_gives_its_recorded_best_else_its_last(tmp_path: Path) -> None:
    run = lightning_run(tmp_path / "a", {"best-1.ckpt": 3.0, "best-2.ckpt": 2.0, "last.ckpt": 1.0})
    checkpoint = read_checkpoint(run)
    assert checkpoint.path.name == "best-1.ckpt"
    assert checkpoint.class_path == VPT_PATH
    assert checkpoint.init_args == {"network": {"size": "tiny"}}
    assert checkpoint.extra == {"epoch": 1, "global_step": 10}
    run = lightning_run(tmp_path / "b", {"last.ckpt": 1.0, "step=7.ckpt": 2.0})
    assert read_checkpoint(run).path.name == "last.ckpt"


def test_a_lightning_checkpoint_with_code_is_refused_and_nothing_ran(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    torch.save({"state_dict": {}, "callbacks": Payload(os.system, f"touch {trace}")}, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match=r"refused: it asks for (posix|nt)\.system"):
        read_checkpoint(tmp_path / "evil.ckpt")
    assert not trace.exists()
    (tmp_path / "cut.ckpt").write_bytes((tmp_path / "evil.ckpt").read_bytes()[:100])
    with pytest.raises(ValueError, match=r"cut\.ckpt is"):
        read_checkpoint(tmp_path / "cut.ckpt")


def test_a_trained_run_exports_its_averaged_weights(tmp_path: Path) -> None:
    T = 4
    batch = Batch(
        torch.randint(0, 256, (1, T, 16, 16, 3), dtype=torch.uint8),
        {name: torch.zeros(1, T) for name in tiny_policy().scheme.controls},
        torch.zeros(1, T, dtype=torch.bool), torch.ones(1, T, dtype=torch.bool), torch.ones(1, T),
    )  # fmt: skip
    module = tiny_policy()
    trainer = Trainer(
        default_root_dir=tmp_path, accelerator="cpu", max_steps=3, logger=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[
            EMAWeightAveraging(decay=0.5), ModelCheckpoint(tmp_path / "checkpoints", save_last=True),
        ],
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader([batch] * 3, batch_size=None))
    (tmp_path / "config.yaml").write_text(f"model:\n  class_path: {VPT_PATH}\n  init_args: {json.dumps(ARGUMENTS)}\n")
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert not torch.equal(saved["state_dict"]["net.final_ln.bias"], saved["current_model_state"]["net.final_ln.bias"])

    exported = export_run(tmp_path, tmp_path / "out", "# Card\n")
    assert exported.init_args == ARGUMENTS
    assert (tmp_path / "out" / "README.md").read_text() == "# Card\n"
    policy = load_module(tmp_path / "out")
    for name, value in policy.state_dict().items():
        assert torch.equal(value, saved["state_dict"][name]), name


def test_an_export_omits_target_networks_and_a_reader_restores_them(tmp_path: Path) -> None:
    module = DQN(network=QNetConfig(channels=(4, 4, 4), hidden=8))
    with torch.no_grad():
        for weight in module.target.parameters():
            weight += 1
    save_checkpoint(
        tmp_path / "run", "racing_vpt.models.dqn.DQN", {"channels": [4, 4, 4], "hidden": 8}, module.state_dict()
    )
    exported = export_run(tmp_path / "run", tmp_path / "out", "# Card\n")
    assert exported.state_dict.keys() == {f"net.{name}" for name in module.net.state_dict()}
    read = load_module(tmp_path / "out", expected="DQN")
    again = DQN(network=QNetConfig(channels=(4, 4, 4), hidden=8))
    load_strictly(again, exported.state_dict, "out")
    for each in (read, again):
        for name, value in module.net.state_dict().items():
            assert torch.equal(each.state_dict()[f"net.{name}"], value), name
            assert torch.equal(each.state_dict()[f"target.{name}"], value), name
    with pytest.raises(ValueError, match="net"):
        load_strictly(again, {f"target.{name}": value for name, value in module.net.state_dict().items()}, "out")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("temperature", [2.0, 2, "2.0", np.float32(2), np.float64(2), np.int64(2)], ids=repr)
def test_a_model_pickle_of_any_protocol_and_temperature_is_read(
    tmp_path: Path, protocol: int, temperature: object
) -> None:
    file = tmp_path / "F.model"
    content = model_dict(temperature, extra={"set": {1, 2}, "ordered": OrderedDict(a=(1, None)), "bytes": b"\x00\xff"})
    file.write_bytes(pickle.dumps(content, protocol))
    model = read_openai_model(file)
    assert model["model"]["args"]["net"]["args"]["extra"] == content["model"]["args"]["net"]["args"]["extra"]
    settings = openai_settings(model, file)
    assert settings["temperature"] == 2.0
    assert settings["kind"] == "policy"
    assert settings["size"]["hidsize"] == 32


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch {trace}",), r"(posix|nt)\.system"),
        (eval, ("open('{trace}', 'w')",), r"(builtins|__builtin__)\.eval"),
        (exec, ("open('{trace}', 'w')",), r"(builtins|__builtin__)\.exec"),
        (open, ("{trace}", "w"), r"(_?io|builtins|__builtin__)\.open"),
        (getattr, (os, "system"), None),
        (__import__, ("os",), r"(builtins|__builtin__)\.__import__"),
        (np.load, ("{trace}",), r"numpy\.load"),
        (bytearray, (2**40,), r"(builtins|__builtin__)\.bytearray"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_a_model_pickle_with_code_is_refused_by_name_and_nothing_ran(
    tmp_path: Path, protocol: int, function: Callable[..., object], arguments: tuple[object, ...], name: str | None
) -> None:
    trace, file = tmp_path / "trace", tmp_path / "F.model"
    if function is getattr:  # modules do not pickle; a call that reaches one through another call does
        function, arguments, name = getattr, (Payload(__import__, "os"), "system"), r"\.(getattr|__import__)"
    arguments = tuple(x.format(trace=trace) if isinstance(x, str) else x for x in arguments)
    content = model_dict()
    content["model"]["args"]["net"]["args"]["deep"] = [{"deeper": (1, [Payload(function, *arguments)])}]
    file.write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(ValueError, match=rf"refused: it asks for .*{name}"):
        read_openai_model(file)
    assert not trace.exists()


def test_a_pickle_cannot_change_what_it_is_given_for_the_next_one(tmp_path: Path) -> None:
    """BUILD writes attributes to whatever lies on the stack, a function or class of the reader's too."""
    file = tmp_path / "F.model"
    file.write_bytes(b"c_codecs\nencode\n(N}S'__defaults__'\n(S'rot13'\ntstb.")
    with pytest.raises(ValueError, match="refused: it asks for the state of a function"):
        read_openai_model(file)
    file.write_bytes(b"c_codecs\nencode\n(S'a'\ntR.")
    with pytest.raises(ValueError, match="holds a bytes"):
        read_openai_model(file)
    file.write_bytes(pickle.dumps(model_dict(np.float64(2)), 0))
    assert openai_settings(read_openai_model(file), file)["temperature"] == 2.0


def test_every_cut_of_a_model_pickle_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "F.model"
    for protocol in (0, 2, 4):
        whole = pickle.dumps(model_dict(np.float32(2)), protocol)
        for length in range(len(whole)):
            file.write_bytes(whole[:length])
            with pytest.raises(ValueError, match=r"F\.model"):
                read_openai_model(file)


def test_garbage_and_bombs_are_errors_and_take_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "F.model"
    rng = np.random.default_rng(0)
    whole = pickle.dumps(model_dict(np.float32(2)), 4)
    for _ in range(300):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            damaged[at] = rng.integers(256)
        file.write_bytes(damaged)
        with suppress(ValueError):  # a changed number may well be read
            openai_settings(read_openai_model(file), file)
    bombs = (b"\x80\x02}r" + struct.pack("<I", 2**31 - 1) + b".", b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b".")
    for content in (b"", b"not a pickle", *bombs):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"F\.model is not a complete pickle"):
            read_openai_model(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list"),
        ({"model": {}}, "not an OpenAI VPT .model file"),
        (model_dict("warm"), "temperature"),
        (model_dict(recurrence_type="lstm"), "recurrence_type is 'lstm'"),
        (model_dict(attention_mask_style="none"), "conv3d_params"),
    ],
    ids=str,
)
def test_a_model_file_that_cannot_be_run_says_why(tmp_path: Path, content: object, message: str) -> None:
    file = tmp_path / "F.model"
    file.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=message):
        openai_settings(read_openai_model(file), file)


def test_openai_weights_with_code_or_cut_short_are_refused(tmp_path: Path) -> None:
    trace, file = tmp_path / "trace", tmp_path / "F.weights"
    torch.save({"a": Payload(os.system, f"touch {trace}")}, file)
    with pytest.raises(ValueError, match="refused"):
        read_openai_weights(file)
    assert not trace.exists()
    file.write_bytes((PARITY / "policy.weights").read_bytes()[:500_000])
    with pytest.raises(ValueError, match="half a download"):
        read_openai_weights(file)
    torch.save({"a": torch.ones(1), "b": 3}, file)
    with pytest.raises(ValueError, match="but b is a int"):
        read_openai_weights(file)


def test_an_openai_model_is_a_checkpoint_too() -> None:
    checkpoint = read_checkpoint(PARITY / "policy.model")
    assert checkpoint.class_path == VPT_PATH
    assert checkpoint.init_args["network"]["size"]["hidsize"] == 32
    assert checkpoint.init_args["network"]["temperature"] == 2.0
    assert checkpoint.state_dict["pi_head.buttons.linear_layer.weight"].shape == (8641, 32)
    with pytest.raises(ValueError, match=r"policy\.model"):
        read_checkpoint(PARITY / "policy.weights")
