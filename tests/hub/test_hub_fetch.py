"""Checkpoints and data from the Hub: fetched, resumed, refused, pinned, without a network, and no token anywhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from racing_vpt.agents.load import load_agent
from racing_vpt.callbacks.environment import describe_environment
from racing_vpt.checkpoints.load import ZOO, read_checkpoint
from racing_vpt.cli.main import main
from racing_vpt.cli.runs import checkpoint_to_resume
from racing_vpt.data.stores import open_store
from racing_vpt.data.windows import find_videos
from racing_vpt.hub import fetch
from tests.cli.answers import said
from tests.hub.server import TOKEN, Hub

NAME = "models/me/road"
Files = dict[str, bytes]


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def contents(folder: Path) -> Files:
    """The files of a folder by their path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in files_below(folder)}


def forget() -> None:
    """As a new process, which has resolved no name."""
    fetch._commits.clear()


def test_a_checkpoint_is_the_same_from_the_hub(hub: Hub, zoo_files: Files) -> None:
    commit = hub.repo(NAME).commit(zoo_files)
    agent = load_agent("hf:me/road")
    assert agent.module.checkpoint_name == f"hf:me/road@{commit}"  # type: ignore[attr-defined]
    assert agent.module.fingerprint() == read_checkpoint("zoo:vpt-nes-road").fingerprint  # type: ignore[attr-defined]


def test_a_cached_commit_is_read_without_a_request(hub: Hub, zoo_files: Files) -> None:
    commit = hub.repo(NAME).commit(zoo_files)
    read_checkpoint("hf:me/road")
    hub.requests.clear()
    read_checkpoint(f"hf:me/road@{commit}")
    assert hub.requests == []


def test_tags_and_commits_are_revisions_and_main_moves(hub: Hub, zoo_files: Files) -> None:
    repo = hub.repo(NAME)
    first = repo.commit(zoo_files)
    repo.tags["v1"] = first
    second = repo.commit({**zoo_files, "README.md": b"# Another\n"})
    assert read_checkpoint("hf:me/road@v1").path.name == first
    assert read_checkpoint("hf:me/road").path.name == second
    repo.commit(zoo_files)
    assert read_checkpoint("hf:me/road").path.name == second  # within a process a name stays what it was
    forget()
    assert read_checkpoint("hf:me/road").path.name == repo.head


def test_a_cut_connection_is_resumed_where_it_was_cut(
    hub: Hub, zoo_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100_000)  # 10 MB, in which it resumes
    hub.repo(NAME).commit(zoo_files)
    hub.cut_after = [300_000, 200_000]
    read_checkpoint("hf:me/road")
    assert hub.asked("GET", "resolve.*model.safetensors") == ["", "bytes=300000-", "bytes=500000-"]


@pytest.mark.parametrize(("file", "kind"), [("model.safetensors", "sha256"), ("config.json", "git's sha1")])
def test_a_file_with_another_hash_is_refused_and_removed(
    hub: Hub, zoo_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, kind: str
) -> None:
    hub.repo(NAME).commit(zoo_files)
    hub.garble = file
    line = said(capsys, "verify", "hf:me/road")
    assert f"{file} has {len(zoo_files[file])} bytes and {kind} " in line
    assert not [path for path in files_below(tmp_path) if path.name == file]
    hub.garble = ""
    assert main(["verify", "hf:me/road"]) == 0


def test_what_another_program_fetched_is_verified_and_used(
    hub: Hub, zoo_files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import snapshot_download

    commit = hub.repo(NAME).commit(zoo_files)
    folder = snapshot_download("me/road", cache_dir=tmp_path / "cache", endpoint=hub.address)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert read_checkpoint("hf:me/road").path.name == commit
    (tmp_path / "cache" / "models--me--road" / "racing-vpt" / commit / "model.safetensors").unlink()
    with (Path(folder) / "model.safetensors").open("r+b") as file:
        file.write(b"another")
    with pytest.raises(ValueError, match=r"model\.safetensors has .* and sha256"):
        read_checkpoint("hf:me/road")


def test_a_repository_of_pickles_is_refused_unread(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.repo(NAME).commit({"config.json": b"{}", "pytorch_model.bin": b"\x80\x04."})
    line = said(capsys, "verify", "hf:me/road")
    assert "pytorch_model.bin" in line
    assert "racing-vpt push" in line
    assert not hub.asked("GET", "resolve")


def test_another_model_is_refused_before_its_weights_are_fetched(
    hub: Hub, zoo_files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repo(NAME).commit({"config.json": b'{"model_type": "bert"}', "model.safetensors": b"\0" * 1000})
    assert "lacks format, class_path" in said(capsys, "verify", "hf:me/road")
    assert not hub.asked("GET", "resolve.*safetensors")


@pytest.mark.parametrize(
    ("name", "about", "expected"),
    [
        ("hf:me/nothing", {}, "shows no model me/nothing"),
        ("hf:me/road", {"private": True}, "it is private and no token is given"),
        ("hf:me/road", {"gated": True}, "is gated: ask for access"),
        ("hf:me/road@v9", {}, "has no revision v9; it has main"),
        ("hf:me/road/deep", {}, "expected hf:OWNER/NAME"),
        ("hf:../road", {}, "expected hf:OWNER/NAME"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    hub: Hub, zoo_files: Files, capsys: pytest.CaptureFixture[str], name: str, about: dict, expected: str
) -> None:
    hub.repo(NAME, **about).commit(zoo_files)
    assert expected in said(capsys, "verify", name)
    assert expected in said(capsys, "drive", "--checkpoint", name, "--seeds", "1000")


def test_a_private_repository_is_read_with_a_token(hub: Hub, zoo_files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repo(NAME, private=True).commit(zoo_files)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert read_checkpoint("hf:me/road").class_path == "racing_vpt.models.vpt.VPT"


@pytest.mark.parametrize("status", [400, 403, 503])
def test_a_token_is_never_shown_or_written(
    hub: Hub, zoo_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:  # fmt: skip
    hub.repo(NAME, private=True).commit(zoo_files)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    read_checkpoint("hf:me/road")
    forget()
    hub.status = status  # the server says back what it was sent
    with pytest.raises((OSError, ValueError)) as raised:
        read_checkpoint("hf:me/road@v2")
    told = f"{raised.value} {raised.value.__cause__} {json.dumps(describe_environment())}"
    main(["verify", "hf:me/road@v2"])
    told += str(capsys.readouterr())
    assert "status" in told
    assert "X-Sig" not in told
    assert TOKEN not in told
    assert not [path for path in files_below(tmp_path) if TOKEN.encode() in path.read_bytes()]


def test_without_a_network_the_cache_serves(
    hub: Hub, zoo_files: Files, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commit = hub.repo(NAME).commit(zoo_files)
    read_checkpoint("hf:me/road")
    forget()
    hub.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert read_checkpoint("hf:me/road").path.name == commit
    assert hub.requests == []
    with pytest.raises(ConnectionError, match=r"HF_HUB_OFFLINE is set, and the cache .* lacks hf:me/other"):
        read_checkpoint("hf:me/other")
    forget()
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    assert read_checkpoint("hf:me/road").path.name == commit
    assert "is taken from the cache" in caplog.text
    with pytest.raises(ConnectionError, match=r"does not answer.*hf:me/other is not in the cache"):
        read_checkpoint("hf:me/other")


def test_a_silent_server_is_not_waited_for(hub: Hub, zoo_files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repo(NAME).commit(zoo_files)
    hub.stall = 3.0
    monkeypatch.setattr(fetch, "TIMEOUT", 0.3)
    with pytest.raises(ConnectionError, match="does not answer"):
        read_checkpoint("hf:me/road")


def test_without_the_extra_the_error_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert 'pip install "racing-vpt[hub]"' in said(capsys, "verify", "hf:me/road")


def test_data_from_the_hub_is_what_was_there(
    hub: Hub, tiny_shards: Path, tiny_recordings: Path, tmp_path: Path
) -> None:
    for name, folder in (("shards", tiny_shards), ("drives", tiny_recordings)):
        hub.repo(f"datasets/me/{name}").commit(contents(folder))
    for name, folder in (("shards", tiny_shards), ("drives", tiny_recordings)):
        here, there = (open_store(path, "train", None, 0, None, "auto") for path in (str(folder), f"hf:me/{name}"))
        assert here is not None
        assert there is not None
        assert [one.name for one in here.episodes] == [one.name for one in there.episodes]
        clip = here.episodes[0].clips[0]
        assert np.array_equal(here.open(clip)[0].read([0, 5]), there.open(clip)[0].read([0, 5]))
    assert find_videos("hf:me/drives").keys() == find_videos(str(tiny_recordings)).keys()
    assert main(["verify", "hf:datasets/me/shards"]) == 0
    assert main(["pack", "--recordings", "hf:me/drives", "--out", str(tmp_path / "packed")]) == 0
    packed = json.loads((tmp_path / "packed" / "manifest.json").read_text())
    assert len(packed["episodes"]) == 6


def test_data_of_another_kind_is_refused(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.repo("datasets/me/words").commit({"words.txt": b"text", "train.bin": b"\0"})
    line = said(capsys, "inspect", "hf:me/words")
    assert "words.txt" in line
    assert not hub.asked("GET", "resolve")


def test_a_run_pins_the_revisions_that_it_used(hub: Hub, tiny_shards: Path, tmp_path: Path) -> None:
    zoo = {path.name: path.read_bytes() for path in (ZOO / "vpt-carracing").iterdir()}
    model, data = hub.repo("models/me/driver"), hub.repo("datasets/me/shards")
    commits = f"hf:me/driver@{model.commit(zoo)}", f"hf:datasets/me/shards@{data.commit(contents(tiny_shards))}"
    words = ["fit", "--config", "vpt", "--runs", str(tmp_path), "--name", "tuned", "--model.init_from", "hf:me/driver"]
    words += ["--data.train", "hf:me/shards", "--data.val", "hf:me/shards", "--data.batch_size", "2"]
    words += ["--data.loading.num_workers", "0", "--trainer.limit_val_batches", "1"]
    assert main([*words, "--trainer.max_steps", "1", "--trainer.accelerator", "cpu"]) == 0
    run = tmp_path / "vpt" / "tuned"
    assert json.loads((run / "environment.json").read_text())["hub"] == {
        "hf:me/driver": commits[0],
        "hf:datasets/me/shards": commits[1],
    }
    written = yaml.safe_load((run / "config.yaml").read_text())
    assert written["model"]["init_args"]["init_from"] == commits[0]
    assert written["data"]["init_args"]["train"] in (commits[1], [commits[1]])
    model.commit({**zoo, "README.md": b"# New\n"})  # a run that goes on does not mind
    forget()
    assert main([*words, "--trainer.max_steps", "2", "--trainer.accelerator", "cpu", "--ckpt_path", "last"]) == 0
    assert "--model.init_from hf:me/driver" in refused(words, "hf:me/driver")


def refused(words: list[str], checkpoint: str) -> str:
    """Why `fit` does not resume from a checkpoint."""
    with pytest.raises(ValueError, match="resumes a training run") as raised:
        checkpoint_to_resume(checkpoint, Path(words[4]))
    return str(raised.value)
