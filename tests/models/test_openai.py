"""OpenAI's files through the public function `load_vpt`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from einops import repeat

from racing_vpt.models.openai_vpt import load_vpt

PARITY = Path(__file__).parents[1] / "vpt_parity"


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    return dict(np.load(PARITY / "policy.reference.npz"))


def outputs(reference: dict[str, np.ndarray], chunks: list[int], first: torch.Tensor) -> dict[str, np.ndarray]:
    """Outputs of the loaded policy for the reference's frames in chunks of given lengths, by the reference's names."""
    net = load_vpt(PARITY / "policy.model", PARITY / "policy.weights")
    frames = repeat(torch.from_numpy(reference["frames16"]), "t h w c -> 1 t (h a) (w b) c", a=8, b=8)
    state, parts = None, []
    with torch.no_grad():
        for chunk, flags in zip(frames.split(chunks, 1), first[None].split(chunks, 1), strict=True):
            log_probs, value, state = net(chunk, flags, state)
            assert value is not None
            assert log_probs["buttons"].dtype == log_probs["camera"].dtype == value.dtype == torch.float32
            assert log_probs["buttons"].shape[2:] == (8641,)
            likeliest = log_probs["buttons"].argmax(-1)
            parts.append((log_probs["buttons"][..., :64], log_probs["camera"], value, likeliest))
    names = ("buttons_first64", "camera", "value", "buttons_argmax")
    return {name: torch.cat(each, 1)[0].numpy() for name, each in zip(names, zip(*parts, strict=True), strict=True)}


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("name", "chunk"), [("one", 1), ("seven", 7), ("sixteen", 16)])
def test_a_loaded_policy_gives_the_original_outputs(
    name: str, chunk: int, threads: int, reference: dict[str, np.ndarray]
) -> None:
    first = torch.from_numpy(reference["first"]).clone()
    if name == "sixteen":  # the original ignores a flag inside a chunk
        first[1:] = False
    before = torch.get_num_threads()
    torch.set_num_threads(threads)  # whatever the machine has
    try:
        found = outputs(reference, [chunk] * (40 // chunk) + [40 % chunk] * bool(40 % chunk), first)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for output in ("buttons_first64", "camera", "value"):
        np.testing.assert_allclose(found[output], reference[f"{name}_{output}"], rtol=0, atol=1e-4, err_msg=output)
    assert (found["buttons_argmax"] == reference[f"{name}_buttons_argmax"]).all()


@pytest.mark.parametrize("chunks", [[21, 19], [5, 16, 19], [1, 20, 18, 1], [40], [20, 20]], ids=str)
def test_any_chunking_gives_the_original_outputs(chunks: list[int], reference: dict[str, np.ndarray]) -> None:
    """With borders at the episode starts (frames 0 and 21) as the original, and without them, which it cannot.

    The original's own outputs differ by up to 3.4e-4 from chunk length to chunk length (GroupNorm in float32 adds up
    the pixels of one frame in other parts), so ours have to be within 1e-4 of what lies between them.
    """
    found = outputs(reference, chunks, torch.from_numpy(reference["first"]))
    for output in ("buttons_first64", "camera", "value"):
        for frames, names in ((slice(0, 21), ("one", "seven", "sixteen")), (slice(21, 40), ("one", "seven"))):
            given = np.stack([reference[f"{name}_{output}"][frames] for name in names])
            assert (found[output][frames] > given.min(0) - 1e-4).all(), output
            assert (found[output][frames] < given.max(0) + 1e-4).all(), output


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
