"""`racing-vpt verify --idm`: controls that were shifted on purpose, and video of which the model knows nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from racing_vpt.cli.main import main
from racing_vpt.verbs.collect import collect
from racing_vpt.verbs.verify import verify

LATE = 4  # frames


@pytest.fixture(scope="module")
def ride(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ride")
    collect(folder, "1130", max_frames=424, workers=1, allow_judging_seeds=True)
    return folder


def test_controls_that_were_shifted_on_purpose_are_found(ride: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lines,) = ride.glob("*.jsonl")
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    actions = [record["action"] for record in records]
    for index, record in enumerate(records):
        record["action"] = actions[max(0, index - LATE)]
    lines.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    verify(str(ride), idm="zoo:idm-carracing-video")
    found = re.search(r"these controls lag the picture by (\d\.\d) frames \(\d+ ms", capsys.readouterr().out)
    assert found
    assert float(found[1]) == pytest.approx(LATE, abs=1)


def test_of_video_unlike_its_training_data_it_cannot_tell(
    tiny_recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verify(str(next(tiny_recordings.glob("*.meta.json"))), idm="zoo:idm-carracing-video")
    assert "cannot tell whether the controls are shifted: the video is unlike" in capsys.readouterr().out


def test_labels_have_no_shift_to_tell(tiny_shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tiny_shards), "--idm", "zoo:idm-carracing-video"]) == 2
    assert "--idm tells whether the controls of recordings are shifted" in capsys.readouterr().err
