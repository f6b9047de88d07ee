"""`racing-vpt test` on an IDM: one JSON, one table, one picture."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from racing_vpt.cli.main import main


def test_an_idm_is_reported_beside_its_baselines(
    tiny_recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["--ckpt_path", "zoo:idm-carracing-video", "--data.test", str(tiny_recordings), "--data.clip_frames", "96"]
    assert main(["test", *words, "--data.batch_size", "6", "--runs", str(tmp_path)]) == 0
    run = tmp_path / "test" / "idm-carracing-video"
    report = json.loads((run / "report.json").read_text())
    assert (report["episodes"], report["frames"]) == (6, 393)
    assert report["training_mean"]["steering"] == pytest.approx(0, abs=0.3)
    figures = report["figures"]
    value, low, high = figures["steering"]["r2_clipped"]["last frame"]
    assert 0.8 < low <= value <= high < 1
    assert figures["throttle"]["lag"]["last frame"] == [1, 1, 1]
    assert abs(figures["brake"]["r2"]["training mean"][0]) < 0.1
    assert 0 <= figures["all"]["ece"]["labels"][0] <= 1
    assert {"error_5", "error_100", "accuracy_50"} <= {*figures["all"]}
    printed = capsys.readouterr().out
    assert "393 frames of 6 episodes" in printed
    assert "steering r2_clipped" in printed
    assert cv2.imread(str(run / "media" / "idm_report.png")).shape[0] > 400
    assert (run / "metrics.json").is_file()
