"""OpenAI's pair of files when tampered with, truncated, or not belonging together."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import time
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from racing_vpt.checkpoints.load import load_module
from racing_vpt.checkpoints.openai import openai_settings, read_openai_model, read_openai_weights
from racing_vpt.checkpoints.plain_names import RefusedNameError
from racing_vpt.checkpoints.plain_pickle import load_plain
from racing_vpt.models.openai_vpt import load_vpt

PARITY = Path(__file__).parents[1] / "vpt_parity"


def saved(content: object, **options: bool) -> bytes:
    """The bytes that torch.save writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def settings_with(**changed: object) -> dict:
    """The policy's settings with some changed."""
    model = read_openai_model(PARITY / "policy.model")
    model["model"]["args"]["net"]["args"] |= changed
    return model


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_comes_back_as_built_in_containers(protocol: int) -> None:
    given = {"a": OrderedDict(b=(1, None, True)), "c": [{1, 2}, frozenset({3})], "d": np.float32(0.5), "e": b"\x00\xff"}
    found = load_plain(pickle.dumps(given | {"type": np.dtype("float32")}, protocol))
    assert found == given | {"d": 0.5, "type": "f4"}
    assert type(found["a"]) is dict  # type: ignore[index]


def test_a_scalar_that_python_2_wrote_is_read() -> None:
    """Its bytes stand in the file as text, which need not be ASCII."""
    head = (
        b"\x80\x02cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff"
    )
    tail = b"J\xff\xff\xff\xffK\x00tbU\x08" + np.float64(-2.7).tobytes() + b"\x86R."
    assert load_plain(head + tail) == -2.7


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        (b"Pa name\n.", "persistent id"),
        (b"\x80\x02K\x01Q.", "persistent id"),
        (b"\x80\x02\x82\x01.", "registered extension"),
        (b"\x80\x05\x97.", "buffer outside"),
        (b"cbuiltins\ndict\n.", "function as a value"),
        (b"\x80\x04\x8c\x08builtins\x8c\x0edict.__class__\x93.", r"builtins\.dict\.__class__"),
        (b"(S'echo'\nios\nsystem\n.", r"os\.system"),
        (b"ccopyreg\n_reconstructor\n(cbuiltins\nlist\ncbuiltins\nlist\nNtR.", r"copyreg\._reconstructor"),
    ],
)
def test_whatever_is_no_plain_data_is_refused_by_name(data: bytes, asked: str) -> None:
    with pytest.raises(RefusedNameError, match=asked):
        load_plain(data)


def test_a_few_bytes_cannot_make_much_data() -> None:
    copies = b"\x80\x04]\x94(" + b"N" * 60_000 + b"e0](" + b"cbuiltins\nlist\nh\x00\x85R" * 50 + b"e."
    shared: list = []
    for _ in range(40):
        shared = [shared, shared]  # 2^40 values when they are copied out
    deep: list = []
    for _ in range(150):
        deep = [deep]
    for data in (copies, pickle.dumps(shared), pickle.dumps(deep), b"\x80\x04]\x94h\x00a."):
        with pytest.raises(ValueError, match=r"100000 values"):
            load_plain(data)


def doubled(times: int) -> bytes:
    """A program whose last value is a tuple of two of the one before, and so on: 2^times values when it is hashed."""
    pairs = (b"h%ch%c\x86q%c0" % (number, number, number + 1) for number in range(times))
    return b"\x80\x02)q\x000" + b"".join(pairs)


@pytest.mark.parametrize(
    "data",
    [
        doubled(40) + b"}h\x28K\x01s.",
        doubled(40) + b"(h\x28\x91.",
        doubled(40) + b"\x8f(h\x28\x90.",
        doubled(40) + b"cbuiltins\nset\n]h\x28a\x85R.",
        b"\x80\x02})" + b"\x85" * 20_000 + b"K\x01s.",
        pickle.dumps({number * (2**61 - 1): None for number in range(20_000)}),
    ],
    ids=["a key", "a frozenset", "a set", "an argument", "a deep key", "keys that collide"],
)
def test_values_that_take_forever_to_hash_are_counted_before(data: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(ValueError, match=r"100000 values or 100 levels"):
        load_plain(data)
    assert time.process_time() - begun < 5


def test_an_ordered_dict_with_methods_of_its_own_is_only_data() -> None:
    data = b"ccollections\nOrderedDict\n)RS'a'\nI1\ns(dS'items'\nS'x'\nsb."
    assert load_plain(data) == {"a": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><title>404</title>", r"not a torch file \(it starts with b'<!DOCTYPE html><'"),
        (b"", "half a download"),
        (b"PK", "half a download"),
        (saved({"a": torch.ones(1).expand(10**6, 10**6)}), "tensors are much larger than the file"),
        (saved({"a": torch.ones(1).expand(1000)}), r"a \(1000,\) is not a plain tensor"),
        (saved({"a": torch.ones(1, device="meta")}), "asks for torch._utils._rebuild_meta_tensor"),
        (saved({"a": torch.eye(2).to_sparse()}), "asks for torch._utils._rebuild_sparse_tensor"),
        (saved([torch.ones(1)]), "holds a list"),
        (saved({1: torch.ones(1)}), "but 1 is a Tensor"),
        (saved({"a": torch.ones(9)}, _use_new_zipfile_serialization=False)[:-5], "half a download"),
    ],
    ids=range(10),
)
def test_files_other_than_weights_are_refused_with_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "F.weights"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_openai_weights(file)


def test_every_cut_of_a_weights_file_and_a_flipped_byte_are_errors(tmp_path: Path) -> None:
    whole, file = (PARITY / "policy.weights").read_bytes(), tmp_path / "F.weights"
    for length in (1, 10, 100, 5_000, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="half a download"):
            read_openai_weights(file)
    file.write_bytes(whole[: len(whole) // 2] + bytes(4096) + whole[len(whole) // 2 + 4096 :])
    with pytest.raises(ValueError, match=r"checksum of .* is wrong"):
        read_openai_weights(file)


def test_weights_that_unpack_to_more_than_the_file_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "F.weights"
    with (
        zipfile.ZipFile(PARITY / "idm.weights") as given,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in given.namelist():
            packed.writestr(name, given.read(name))
    with pytest.raises(ValueError, match="is compressed"):
        read_openai_weights(file)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hidsize": "wide"}, "not an OpenAI VPT .model file"),
        ({"hidsize": 10**12}, "sizes are 1 to 65536"),
        ({"impala_chans": [4, -8]}, "sizes are 1 to 65536"),
        ({"img_shape": 5}, "not an OpenAI VPT .model file"),
        ({"attention_mask_style": "none", "conv3d_params": [5]}, "not an OpenAI VPT .model file"),
    ],
    ids=str,
)
def test_impossible_sizes_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        openai_settings(settings_with(**changed), Path("F.model"))


@pytest.mark.parametrize("temperature", ["nan", "inf", 0, -1.0, None, "warm"], ids=str)
def test_an_impossible_temperature_is_refused(temperature: object) -> None:
    model = settings_with()
    model["model"]["args"]["pi_head_opts"]["temperature"] = temperature
    with pytest.raises(ValueError, match=r"F\.model.*temperature"):
        openai_settings(model, Path("F.model"))


def test_settings_of_another_size_than_the_weights_name_keys_and_shapes(tmp_path: Path) -> None:
    (tmp_path / "F.model").write_bytes(pickle.dumps(settings_with(hidsize=64)))
    (tmp_path / "F.weights").write_bytes((PARITY / "policy.weights").read_bytes())
    for read in (load_module, lambda path: load_vpt(path, path.with_suffix(".weights"))):
        with pytest.raises(ValueError, match=r"net\.final_ln\.weight \(32,\) instead of \(64,\)"):
            read(tmp_path / "F.model")
    (tmp_path / "F.model").write_bytes(pickle.dumps(settings_with(hidsize=2**16, impala_chans=[2**12] * 3)))
    with pytest.raises(
        ValueError, match="ask for a larger network than its weights are of"
    ):  # at once, and without a terabyte
        load_module(tmp_path / "F.model")


def test_exchanged_files_are_noticed() -> None:
    with pytest.raises(ValueError, match=r"were \.model and \.weights exchanged|is this the \.weights file"):
        load_vpt(PARITY / "policy.weights", PARITY / "policy.model")
    with pytest.raises(ValueError, match=r"policy\.model is not a torch file"):
        read_openai_weights(PARITY / "policy.model")


def test_a_machine_without_the_memory_is_told_before_anything_is_read(tmp_path: Path) -> None:
    file = tmp_path / "4x_idm.weights"
    with file.open("wb") as sparse:
        sparse.truncate(2 * 2**30)
    program = (
        "import resource\nfrom pathlib import Path\nfrom racing_vpt.checkpoints.openai import read_openai_weights\n"
        "pages = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (pages + 2**30,) * 2)\n"
        f"try: read_openai_weights(Path({str(file)!r}))\nexcept ValueError as error: print(error)"
    )
    if not Path("/proc/self/statm").is_file():
        pytest.skip("only Linux says how much memory a process has")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "needs 4.0 GiB of free memory, but 1.0 GiB are free" in done.stdout
