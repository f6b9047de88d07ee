"""Checkpoints and data to the Hub and back: the card, its fields, what is refused, and nothing half written."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import yaml

from racing_vpt.checkpoints.load import read_checkpoint
from racing_vpt.cli.main import main
from racing_vpt.data.hub_data import at_hand
from racing_vpt.data.overview import survey
from racing_vpt.hub import fetch
from racing_vpt.hub.card import read_scores
from racing_vpt.hub.upload import front_matter
from racing_vpt.play.film import FilmWriter
from tests.cli.answers import said
from tests.hub.server import TOKEN, Hub

REPORT = {
    "env": "CarRacing-v3", "checkpoint": "x", "seeds": [0, 1], "returns": [900.0, 910.0], "mean": 905.0,
    "ci95": [900.0, 910.0], "median": 905.0, "p10": 901.0, "laps_finished": 1, "frames": [700, 710],
    "frames_per_second": 300.0, "complete": True, "command": ["racing-vpt", "drive"],
}  # fmt: skip


@pytest.fixture
def login(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The hub, with a token that may write."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub


def test_a_pushed_checkpoint_comes_back_with_its_card(
    login: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores, film = tmp_path / "scores.json", tmp_path / "film.mp4"
    scores.write_text(json.dumps(REPORT))
    with closing(FilmWriter(film, 50.0)) as frames:
        for index in range(4):
            frames.write(np.full((96, 96, 3), 40 * index, np.uint8))
    words = ["push", "zoo:vpt-nes-road", "hf:me/road", "--scores", str(scores), "--film", str(film)]
    assert main([*words, "--license", "mit", "--private"]) == 0
    repo = login.repos["models/me/road"]
    assert repo.private
    assert f"fetched with: hf:me/road@{repo.head}" in capsys.readouterr().out
    there = repo.commits[repo.head]
    assert set(there) == {".gitattributes", "README.md", "config.json", "model.safetensors", "replay.mp4"}
    assert there["replay.mp4"] == film.read_bytes()
    card = there["README.md"].decode()
    fields = front_matter(card)
    assert (fields["library_name"], fields["license"], fields["pipeline_tag"]) == (
        "racing-vpt", "mit", "reinforcement-learning",
    )  # fmt: skip
    assert fields["tags"] == ["racing-vpt", "vpt", "nes-road"]
    result = fields["model-index"][0]["results"][0]
    assert result["dataset"] == {"name": "CarRacing-v3", "type": "CarRacing-v3"}
    assert [(metric["type"], metric["value"]) for metric in result["metrics"]] == [
        ("mean_reward", 905.0), ("median_reward", 905.0), ("laps_finished", 0.5),
    ]  # fmt: skip
    assert result["metrics"][0]["args"]["interval_95"] == [900.0, 910.0]
    assert f"{login.address}/me/road/resolve/main/replay.mp4" in card
    assert "racing-vpt drive --checkpoint hf:me/road" in card
    assert "](../" not in card  # leads nowhere there
    back, zoo = read_checkpoint("hf:me/road"), read_checkpoint("zoo:vpt-nes-road")
    assert back.fingerprint == zoo.fingerprint
    assert back.init_args == zoo.init_args
    assert TOKEN.encode() not in b"".join(there.values())


def test_a_second_push_is_another_commit_and_the_same_one_is_none(login: Hub) -> None:
    words = ["push", "zoo:vpt-nes-road", "hf:me/road"]
    assert main(words) == 0
    repo = login.repos["models/me/road"]
    first = repo.head
    fetch._commits.clear()
    assert main([*words, "--license", "mit"]) == 0
    assert repo.head != first
    assert front_matter(repo.commits[repo.head]["README.md"].decode())["license"] == "mit"
    assert repo.commits[first]["README.md"] != repo.commits[repo.head]["README.md"]


def test_nothing_of_others_is_replaced(login: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    repo = login.repo("models/me/bert")
    before = repo.commit({"README.md": b"---\ntags:\n- bert\n---\n# Bert\n", "model.safetensors": b"weights"})
    line = said(capsys, "push", "zoo:vpt-nes-road", "hf:me/bert")
    assert "nothing is replaced" in line
    assert repo.head == before


@pytest.mark.parametrize("fault", ["no token", "not allowed", "offline", "a revision", "lost on the way", "down"])
def test_a_push_that_fails_leaves_nothing_half(
    hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    to = "hf:me/road"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    if fault == "no token":
        monkeypatch.delenv("HF_TOKEN")
    if fault == "not allowed":
        monkeypatch.setenv("HF_TOKEN", "hf_" + "another" * 4)
    if fault == "offline":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if fault == "a revision":
        to = "hf:me/road@v1"
    if fault == "down":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    hub.slip = fault == "lost on the way"
    line = said(capsys, "push", "zoo:vpt-nes-road", to)
    expected = {
        "no token": "needs a token", "not allowed": "refuses hf:me/road with status 401", "offline": "HF_HUB_OFFLINE",
        "a revision": "without @v1", "lost on the way": "model.safetensors", "down": "does not answer",
    }[fault]  # fmt: skip
    assert expected in line
    assert "another" * 4 not in line
    assert fault == "lost on the way" or not hub.repos


def test_what_cannot_be_pushed_is_said_before_anything_is_sent(
    login: Hub, tmp_path: Path, tiny_shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = tmp_path / "half.json"
    half.write_text(json.dumps({**REPORT, "complete": False}))
    other = tmp_path / "other.json"
    other.write_text('{"speed": 3}')
    push = ["push", "zoo:vpt-nes-road", "hf:me/road"]
    assert "was not finished" in said(capsys, *push, "--scores", str(half))
    assert "holds no scores" in said(capsys, *push, "--scores", str(other))
    assert "there is no such file" in said(capsys, *push, "--film", str(tmp_path / "no.mp4"))
    assert "expected hf:OWNER/NAME" in said(capsys, "push", "zoo:vpt-nes-road", "me/road")
    assert "does not exist" in said(capsys, "push", str(tmp_path / "no-run"), "hf:me/road")
    assert "has no --scores" in said(capsys, "push", str(tiny_shards), "hf:me/shards", "--scores", str(half))
    assert login.requests == []


def test_shards_and_recordings_come_back(login: Hub, tiny_shards: Path, tiny_recordings: Path) -> None:
    assert main(["push", str(tiny_shards), "hf:me/shards", "--license", "cc-by-4.0"]) == 0
    assert main(["push", str(tiny_recordings), "hf:me/drives"]) == 0
    repo = login.repos["datasets/me/shards"]
    fields = front_matter(repo.commits[repo.head]["README.md"].decode())
    assert fields["license"] == "cc-by-4.0"
    assert fields["size_categories"] == ["n<1K"]
    assert fields["configs"][0]["data_files"] == [
        {"split": "train", "path": "train-*.tar"}, {"split": "validation", "path": "val-*.tar"},
    ]  # fmt: skip
    assert main(["verify", "hf:datasets/me/shards"]) == 0
    for name, folder in (("shards", tiny_shards), ("drives", tiny_recordings)):
        there, here = survey(at_hand(f"hf:me/{name}"), 1), survey(str(folder), 1)
        assert there.episodes == here.episodes
        assert all(np.array_equal(one[1], other[1]) for one, other in zip(there.strips, here.strips, strict=True))


def test_a_score_says_that_its_episodes_were_shortened(tmp_path: Path) -> None:
    report = tmp_path / "short.json"
    report.write_text(json.dumps({**REPORT, "seeds": [1000], "command": ["racing-vpt", "drive", "--max_frames", "60"]}))
    about = read_scores(report, "VPT", "carracing")[0].about
    assert about == {"episodes": 1, "seeds": "1000 to 1000", "actions": "greedy", "max_frames": 60}


def test_shards_that_are_no_longer_there_go(login: Hub, tiny_shards: Path) -> None:
    assert main(["push", str(tiny_shards), "hf:me/shards"]) == 0
    repo = login.repos["datasets/me/shards"]
    repo.commit({**repo.commits[repo.head], "train-999999.tar": b"old", "LICENSE": b"mine"})
    assert main(["push", str(tiny_shards), "hf:me/shards"]) == 0
    assert "train-999999.tar" not in repo.commits[repo.head]
    assert "LICENSE" in repo.commits[repo.head]


def test_the_card_is_yaml_that_the_hub_reads(login: Hub) -> None:
    from huggingface_hub import ModelCard

    assert main(["push", "zoo:idm-nes-road", "hf:me/idm"]) == 0
    repo = login.repos["models/me/idm"]
    card = ModelCard(repo.commits[repo.head]["README.md"].decode())
    assert card.data.pipeline_tag == "video-classification"
    assert yaml.safe_load(card.data.to_yaml())["tags"] == ["racing-vpt", "idm", "nes-road"]
