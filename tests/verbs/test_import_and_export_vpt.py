"""OpenAI's files to our checkpoints and back, without loss; what the original could not load is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from racing_vpt.checkpoints.folder import save_checkpoint
from racing_vpt.checkpoints.load import load_module
from racing_vpt.checkpoints.openai import read_openai_model, read_openai_weights
from racing_vpt.cli.main import main
from racing_vpt.models.idm import IDM
from racing_vpt.models.idm_config import IDMConfig
from racing_vpt.models.vpt import VPT
from racing_vpt.models.vpt_config import PolicyConfig
from racing_vpt.models.vpt_export import net_arguments, original_files
from racing_vpt.nn.sizes import IDM_SIZES, POLICY_SIZES
from racing_vpt.types import FrameChanges
from racing_vpt.verbs.import_vpt import size_name

PARITY = Path(__file__).parents[1] / "vpt_parity"
KINDS = ("policy", "idm")
OPENAI = FrameChanges(height=128, width=128, resize="linear", hide=(), frames_per_second=20.0)


@pytest.mark.parametrize("kind", KINDS)
def test_importing_and_exporting_a_pair_is_bit_identical(kind: str, tmp_path: Path) -> None:
    assert main(["import-vpt", f"--model={PARITY / kind}.model", f"--out={tmp_path / 'ours'}"]) == 0
    assert main(["export-vpt", f"--checkpoint={tmp_path / 'ours'}", f"--model={tmp_path / 'F.model'}"]) == 0
    given, found = (read_openai_weights(path) for path in (PARITY / f"{kind}.weights", tmp_path / "F.weights"))
    assert given.keys() == found.keys()
    for key, tensor in given.items():
        assert (found[key].shape, found[key].dtype) == (tensor.shape, tensor.dtype), key
        assert torch.equal(found[key], tensor), key
    settings = read_openai_model(PARITY / f"{kind}.model")
    settings["model"]["args"]["pi_head_opts"]["temperature"] = 2.0  # the policy's is the text "2.0"
    assert read_openai_model(tmp_path / "F.model") == settings
    again = load_module(tmp_path / "F.model").state_dict()
    ours = load_module(tmp_path / "ours").state_dict()
    assert ours.keys() == again.keys()
    assert all(torch.equal(ours[key], again[key]) for key in ours)


def test_an_import_reports_its_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(read_openai_weights(PARITY / "idm.weights") | {"aux_head.bias": torch.ones(2)}, tmp_path / "I.weights")
    words = [f"--model={PARITY / 'idm.model'}", f"--weights={tmp_path / 'I.weights'}", f"--out={tmp_path / 'ours'}"]
    assert main(["import-vpt", *words]) == 0
    said = capsys.readouterr().out
    assert "inverse dynamics model, size custom (hidsize 32, 4 heads, 2 blocks, channels 4, 8, 8)" in said
    assert "574,654 parameters" in said
    assert "missing keys: none" in said
    assert "unexpected keys: aux_head.bias" in said
    assert "aux_head.bias" in (tmp_path / "ours" / "README.md").read_text()
    assert main(["import-vpt", *words]) == 0
    assert "holds this checkpoint already" in capsys.readouterr().out
    assert main(["import-vpt", f"--model={PARITY / 'policy.model'}", f"--out={tmp_path / 'ours'}"]) == 2
    assert "already holds a checkpoint" in capsys.readouterr().err


def test_an_import_names_the_keys_that_are_missing_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = read_openai_weights(PARITY / "policy.weights")
    torch.save({key: x for key, x in weights.items() if not key.startswith("value_head.l")}, tmp_path / "P.weights")
    words = [f"--model={PARITY / 'policy.model'}", f"--weights={tmp_path / 'P.weights'}", f"--out={tmp_path / 'ours'}"]
    assert main(["import-vpt", *words]) == 2
    assert "missing: value_head.linear.bias, value_head.linear.weight" in capsys.readouterr().err
    assert not (tmp_path / "ours").exists()


def test_published_sizes_are_called_by_name() -> None:
    assert size_name(POLICY_SIZES["2x"], POLICY_SIZES) == "2x"
    assert size_name(IDM_SIZES["4x"], IDM_SIZES) == "4x"


def test_the_settings_of_a_published_size_are_the_published_ones() -> None:
    """../shared/facts/vpt_checkpoints.md, net keyword arguments."""
    policy, idm = net_arguments(POLICY_SIZES["2x"]), net_arguments(IDM_SIZES["4x"])
    assert policy["impala_chans"] == [16, 32, 32]
    assert (policy["hidsize"], policy["attention_heads"], policy["impala_width"]) == (2048, 16, 8)
    assert (policy["attention_memory_size"], policy["timesteps"], policy["img_shape"]) == (256, 128, [128, 128, 3])
    assert idm["conv3d_params"] == {"inchan": 3, "outchan": 128, "kernel_size": [5, 1, 1], "padding": [2, 0, 0]}
    assert (idm["attention_mask_style"], idm["attention_memory_size"], idm["single_output"]) == ("none", 128, True)
    assert (idm["hidsize"], idm["img_shape"], idm["n_recurrence_layers"]) == (4096, [128, 128, 128], 2)


@pytest.mark.parametrize(
    ("module", "reasons"),
    [
        (lambda: VPT(), ["carracing (steering 31", "64x64 frames", "stem is strided", "hide ((0.875"]),
        (lambda: VPT(game="nes"), ["nes (up 2, down 2"]),
        (lambda: VPT("minecraft", OPENAI, PolicyConfig("small", (0, 4))), ["looks back at frames [0, 4]"]),
        (
            lambda: IDM("minecraft", OPENAI, IDMConfig("tiny", reach=4)),
            ["relative_window is 32", "senses of ours"],
        ),
    ],
)
def test_what_the_original_cannot_load_is_refused_with_every_reason(
    module: object, reasons: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="cannot be written as OpenAI's files") as refusal:
        original_files(module(), "mine")  # type: ignore[operator]
    assert [reason for reason in reasons if reason not in str(refusal.value)] == []


def test_a_car_policy_is_refused_at_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "F.model"
    assert main(["export-vpt", "--checkpoint=zoo:vpt-carracing", f"--model={model}"]) == 2
    assert "its controls are those of carracing" in capsys.readouterr().err
    assert main(["export-vpt", f"--checkpoint={PARITY / 'policy.model'}", f"--model={tmp_path}"]) == 2
    assert "expected files called F.model and F.weights" in capsys.readouterr().err
    model.write_bytes(b"precious")
    assert main(["export-vpt", f"--checkpoint={PARITY / 'policy.model'}", f"--model={model}"]) == 2
    assert "already exists" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["F.model"]


def test_temperatures_that_were_fitted_go_into_the_weights(tmp_path: Path) -> None:
    module = load_module(PARITY / "idm.model")
    assert isinstance(module, IDM)
    torch.manual_seed(0)
    for temperature in module.temperatures.values():
        temperature.copy_(torch.rand(()) + 0.5)
    frames = torch.randint(0, 256, (1, 6, 128, 128, 3), dtype=torch.uint8)
    expected = module.label_frames(frames)
    arguments = {"frames": vars(OPENAI), "game": "minecraft:factored", "network": {"size": vars(module.net.size)}}
    save_checkpoint(tmp_path / "ours", "racing_vpt.models.idm.IDM", arguments, module.state_dict())
    assert main(["export-vpt", f"--checkpoint={tmp_path / 'ours'}", f"--model={tmp_path / 'F.model'}"]) == 0
    exported = load_module(tmp_path / "F.model")
    assert {float(x) for x in exported.temperatures.values()} == {1.0}
    for name, likely in exported.label_frames(frames).items():
        torch.testing.assert_close(likely, expected[name], rtol=0, atol=1e-5)
