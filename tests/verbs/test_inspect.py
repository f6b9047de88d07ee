"""The picture of `racing-vpt inspect` is readable: nothing overlaps, axes are labelled."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from racing_vpt.data.label_files import read_labels, write_labels
from racing_vpt.data.overview import survey
from racing_vpt.data.recordings import find_recordings
from racing_vpt.play.overview_picture import overview_figure
from racing_vpt.rollout.plan import Driver
from racing_vpt.studies.overview_text import joined
from racing_vpt.verbs.collect import collect
from racing_vpt.verbs.inspect import inspect_data


@pytest.fixture(params=["tiny_recordings", "tiny_shards"])
def data(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def texts_of(axes: Axes) -> list[Text]:
    """Titles and what is written below the axes, without labels beyond their ends, which are not drawn."""
    low, high = axes.get_xlim()
    ticks = [tick.label1 for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *ticks]  # type: ignore[attr-defined]


def test_the_picture_has_no_text_over_another(data: str) -> None:
    overview = survey(data)
    assert_no_text_over_another(overview_figure(overview, joined(overview)), texts=40)


def test_the_picture_of_labels_in_narrow_ranges_has_no_text_over_another(tiny_recordings: Path) -> None:
    without_frames, random = replace(survey(str(tiny_recordings)), strips=[]), np.random.default_rng(0)
    table = {
        "throttle": random.normal(0.5, 0.003, 300),
        "brake": random.integers(2, size=300),
        "confidence": random.normal(0.013, 0.0005, 300),
        "left": random.integers(2, size=300),
    }
    assert_no_text_over_another(overview_figure(without_frames, table), texts=25)


def assert_no_text_over_another(figure: Figure, texts: int) -> None:
    """The figure has more than that many texts, and they are apart."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = [text for axes in figure.axes for text in texts_of(axes) if text.get_text()]
    assert len(found) > texts
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in found]
    over = [(one, other) for (one, a), (other, b) in combinations(boxes, 2) if a.shrunk(0.9, 0.9).overlaps(b)]
    assert not over


def test_the_picture_names_its_axes_and_leaves_out_an_unused_gear(data: str) -> None:
    overview = survey(data)
    figure = overview_figure(overview, joined(overview))
    plots = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    assert {*plots} == {"steering", "throttle", "brake", "reward", "length of an episode"}
    for title, axes in plots.items():
        assert axes.get_ylabel() == ("episodes" if "episode" in title else "frames (log scale)")


def test_inspect_says_what_there_is_and_writes_the_picture(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inspect_data(data, out=tmp_path / "it.png")
    assert (tmp_path / "it.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "steering" in printed
    assert f"picture: {tmp_path / 'it.png'}" in printed


def test_labels_are_compared_with_the_true_controls_of_their_video(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos, truth, labels = (tmp_path / name for name in ("videos", "videos-truth", "labels"))
    collect(videos, "10000", [Driver("expert:sporty")], video_only=True, max_frames=60, workers=1)
    (true,) = truth.glob("*.jsonl")
    records, meta = read_labels(true)
    late = [
        replace(record, action={**record.action, "steering": records[max(0, place - 2)].action["steering"]})
        for place, record in enumerate(records)
    ]
    write_labels(labels / true.name, late, {"video_sha256": meta["video_sha256"], "checkpoint": "x"})
    capsys.readouterr()
    inspect_data(str(labels), out=tmp_path / "it.png", truth=truth)
    words = [line.split() for line in capsys.readouterr().out.split("beside the true controls")[1].splitlines()[1:-1]]
    found = {(control, figure): value for control, figure, value, *_ in words}
    assert found["throttle", "r2"] == "1.000"
    assert found["steering", "lag"] == "2.000"
    assert 0 < float(found["steering", "r2_clipped"]) < 0.99
    write_labels(truth / true.name, records, {"kind": "truth", "video_sha256": "another"})
    with pytest.raises(FileNotFoundError, match="none of the 1 label files"):
        inspect_data(str(labels), out=tmp_path / "it.png", truth=truth)


def test_recordings_are_true_controls_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded, labels = tmp_path / "recorded", tmp_path / "labels"
    collect(recorded, "10000", [Driver("expert:sporty")], max_frames=30, workers=1)
    (recording,) = find_recordings(recorded)
    write_labels(labels / "a.jsonl", recording.records(), {"video_sha256": recording.sha256, "checkpoint": "x"})
    inspect_data(str(labels), out=tmp_path / "it.png", truth=recorded)
    assert "beside the true controls of 1 video (" in capsys.readouterr().out
