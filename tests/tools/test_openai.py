"""OpenAI's files through the door that users take."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from einops import repeat

from racing_vpt.tools.openai import load_vpt

PARITY = Path(__file__).parents[1] / "data" / "vpt_parity"


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """As the references were made: GroupNorm's sums over 64x64 pixels depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("name", "chunk"), [("one", 1), ("seven", 7), ("sixteen", 16)])
def test_a_loaded_policy_gives_the_original_outputs(name: str, chunk: int) -> None:
    net = load_vpt(PARITY / "policy.model", PARITY / "policy.weights")
    reference = np.load(PARITY / "policy.reference.npz")
    frames = repeat(torch.from_numpy(reference["frames16"]), "t h w c -> 1 t (h a) (w b) c", a=8, b=8)
    first = torch.from_numpy(reference["first"])[None].clone()
    if name == "sixteen":  # the original ignores a flag inside a chunk
        first[:, 1:] = False
    state, buttons, camera, values = None, [], [], []
    with torch.no_grad():
        for start in range(0, 40, chunk):
            log_probs, value, state = net(frames[:, start : start + chunk], first[:, start : start + chunk], state)
            assert value is not None
            assert log_probs["buttons"].dtype == torch.float32
            buttons.append(log_probs["buttons"][0])
            camera.append(log_probs["camera"][0])
            values.append(value[0])
    assert torch.cat(buttons).shape == (40, 8641)
    np.testing.assert_allclose(torch.cat(buttons)[:, :64], reference[f"{name}_buttons_first64"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(torch.cat(camera), reference[f"{name}_camera"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(torch.cat(values), reference[f"{name}_value"], rtol=0, atol=1e-4)


def test_a_loaded_idm_gives_the_original_outputs() -> None:
    net = load_vpt(str(PARITY / "idm.model"), str(PARITY / "idm.weights"))
    reference = np.load(PARITY / "idm.reference.npz")
    frames = repeat(torch.from_numpy(reference["frames16"]), "t h w c -> 1 t (h a) (w b) c", a=8, b=8)
    with torch.no_grad():
        log_probs, value, _ = net(frames, torch.zeros(1, 24, dtype=torch.bool), None)
    assert value is None
    np.testing.assert_allclose(log_probs["buttons"][0], reference["buttons"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(log_probs["camera"][0], reference["camera"], rtol=0, atol=1e-4)


def test_files_that_do_not_belong_together_are_an_error_that_names_keys_and_shapes() -> None:
    with pytest.raises(ValueError, match=r"idm\.weights with .*policy\.model.*missing: .*value_head\.linear\.weight"):
        load_vpt(PARITY / "policy.model", PARITY / "idm.weights")
    with pytest.raises(ValueError, match=r"pi_head\.buttons\.linear_layer\.weight \(8641, 32\) instead of \(40, 32\)"):
        load_vpt(PARITY / "idm.model", PARITY / "policy.weights")


def test_additional_tensors_are_reported_and_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    weights = torch.load(PARITY / "idm.weights", weights_only=True) | {"aux_head.bias": torch.zeros(2)}
    torch.save(weights, tmp_path / "more.weights")
    load_vpt(PARITY / "idm.model", tmp_path / "more.weights")
    assert "not used: aux_head.bias" in caplog.text
