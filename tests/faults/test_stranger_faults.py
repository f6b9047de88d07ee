"""Data of strangers never runs: each file here would leave a trace if anything in it were executed.

The control beside each case shows that the trace is left where the file is read carelessly.
"""

from __future__ import annotations

import io
import json
import pickle
import shutil
import sys
import tarfile
from pathlib import Path

import pytest
import torch
import webdataset

from racing_vpt.callbacks.checkpoint_io import AtomicCheckpointIO
from racing_vpt.checkpoints.integrity import newest_whole
from racing_vpt.checkpoints.load import load_module
from racing_vpt.cli.parse_errors import ParseError
from racing_vpt.cli.parsing import parse_stage
from racing_vpt.data.manifest import MANIFEST, read_manifest
from racing_vpt.data.recording import Recording
from racing_vpt.data.recordings import find_recordings
from racing_vpt.data.shards import ShardStore
from racing_vpt.verbs.verify import verify
from tests.faults.harness import note


class Trace:
    """An object whose unpickling makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


@pytest.fixture
def shards(tiny_shards: Path, tmp_path: Path) -> Path:
    """A copy of the tiny shards that a stranger may change."""
    return Path(shutil.copytree(tiny_shards, tmp_path / "shards"))


def change(shards: Path, **fields: object) -> None:
    """Change fields of the first shard in the manifest."""
    manifest = json.loads((shards / MANIFEST).read_text())
    manifest["shards"][0] |= fields
    (shards / MANIFEST).write_text(json.dumps(manifest))


def refused(words: list[str], trace: Path) -> bool:
    """Whether the options do not parse, and nothing ran."""
    with pytest.raises((ParseError, ValueError), match=r"may not be named here|not allowed|Problem with"):
        parse_stage("fit", words)
    return not trace.exists()


def test_a_config_names_only_classes_of_the_packages_that_are_let_in(
    trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stranger.py").write_text(
        f"from pathlib import Path\nPath({str(trace)!r}).touch()\nfrom racing_vpt.models.vpt import VPT as Stranger\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    config = tmp_path / "config.yaml"
    config.write_text("model: stranger.Stranger\n")
    callback = tmp_path / "callback.yaml"
    callback.write_text(
        "model: VPT\ntrainer:\n  callbacks:\n  - class_path: LambdaCallback\n"
        "    init_args: {on_fit_start: stranger.Stranger}\n"
    )
    whole = tmp_path / "allow.yaml"
    whole.write_text("model: stranger.Stranger\nallow_imports: stranger\n")
    cases = [["--config", str(config)], ["--model", "stranger.Stranger"], ["--config", str(callback)]]
    survived = sum(refused(words, trace) for words in cases)
    with pytest.raises(ParseError):
        parse_stage("fit", ["--config", str(whole)])
    survived += not trace.exists()
    note("a config that names a stranger's class", len(cases) + 1, survived)
    assert survived == len(cases) + 1
    assert parse_stage("fit", ["--config", str(config), "--allow_imports", "stranger"]).model.class_path
    assert trace.exists(), "the control ran nothing, so the cases above prove nothing"
    sys.modules.pop("stranger", None)
    with pytest.raises(ValueError, match="--allow_imports takes names of packages"):
        parse_stage("fit", ["--allow_imports", "--model"])


def test_a_checkpoint_with_code_is_refused_wherever_it_is_read(trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    torch.save({"state_dict": {}, "extra": Trace(trace)}, path)
    readers = [
        lambda: load_module(path), lambda: load_module(tmp_path / "run"), lambda: newest_whole(path),
        lambda: AtomicCheckpointIO().load_checkpoint(path, weights_only=False),
    ]  # fmt: skip
    survived = 0
    for reader in readers:
        with pytest.raises((ValueError, pickle.UnpicklingError)):
            reader()
        survived += not trace.exists()
    model = tmp_path / "stranger.model"
    model.write_bytes(pickle.dumps(Trace(trace)))
    model.with_suffix(".weights").write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="refused"):
        load_module(model)
    survived += not trace.exists()
    note("a checkpoint or .model with code", len(readers) + 1, survived)
    assert survived == len(readers) + 1
    torch.load(path, weights_only=False)
    assert trace.exists()


@pytest.mark.parametrize("suffix", ["pyd", "pkl", "pth"])
def test_a_member_of_a_shard_that_would_be_unpickled_is_refused(suffix: str, shards: Path, trace: Path) -> None:
    path = shards / read_manifest(str(shards))["shards"][0]["file"]
    content = io.BytesIO()
    torch.save(Trace(trace), content) if suffix == "pth" else content.write(pickle.dumps(Trace(trace)))
    with tarfile.open(path, "a") as tar:
        member = tarfile.TarInfo(f"zz-0000000.{suffix}")
        member.size = len(content.getvalue())
        tar.addfile(member, io.BytesIO(content.getvalue()))
    for fields in ({}, {"bytes": path.stat().st_size}):
        change(shards, **fields)
        for read in (lambda: ShardStore(str(shards), "train"), lambda: verify(str(shards))):
            with pytest.raises(ValueError, match=r"bytes|something else|sha256|hold|damaged"):
                read()
    survived = not trace.exists()
    note(f"a .{suffix} member in a shard", 1, int(survived))
    assert survived
    if suffix != "pth":  # webdataset's loader of .pth asks torch, which refuses by default
        list(webdataset.WebDataset(str(path), shardshuffle=False).decode(handler=webdataset.ignore_and_continue))
        assert trace.exists()


@pytest.mark.parametrize(
    "name", ["../outside.tar", "/etc/passwd.tar", "..\\x.tar", ".hidden.tar", "a/b.tar", "c:x.tar", 7, ""]
)
def test_a_manifest_leads_to_no_file_elsewhere(name: object, shards: Path) -> None:
    change(shards, file=name)
    with pytest.raises(ValueError, match=r"manifest names|incomplete"):
        ShardStore(str(shards), "train")


@pytest.mark.parametrize("field", ["video", "name"])
def test_a_meta_file_leads_to_no_file_elsewhere(field: str, tiny_recordings: Path, tmp_path: Path) -> None:
    for file in tiny_recordings.glob("tiny-10000.*"):
        shutil.copy(file, tmp_path)
    meta_file = tmp_path / "tiny-10000.meta.json"
    meta = json.loads(meta_file.read_text())
    for value in ("../../etc/passwd", "/etc/passwd", "..", "", None, 3):
        meta_file.write_text(json.dumps({**meta, field: value}))
        with pytest.raises(ValueError, match=f"{field} is .* it should be the name of a file beside it"):
            Recording.open(meta_file)
        with pytest.raises(ValueError, match="beside it"):
            find_recordings(tmp_path)


def test_a_tar_whose_members_lead_elsewhere_writes_nothing(shards: Path, tmp_path: Path) -> None:
    path = shards / read_manifest(str(shards))["shards"][0]["file"]
    content = path.read_bytes()
    with tarfile.open(path) as tar:
        name = next(iter(tar)).name
    before = set(tmp_path.rglob("*"))
    path.write_bytes(content.replace(name.encode(), b"../" + name.encode()[3:], 1))
    with pytest.raises(ValueError, match="damaged"):
        verify(str(shards))
    assert set(tmp_path.rglob("*")) == before
