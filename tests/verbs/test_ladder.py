"""`racing-vpt ladder`: two drivers, encoded again in two ways and judged; a second run reads what the first kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from racing_vpt.checkpoints.load import ZOO
from racing_vpt.cli.main import main
from racing_vpt.data.picture_change import PictureChange
from racing_vpt.data.renditions import Rendition
from racing_vpt.models.agreement import regression
from racing_vpt.statistics import interval_of_group_means, interval_of_sums
from racing_vpt.studies.ladder import drivers_in
from tests.conftest import write_tiny_recording

RUNGS = """
columns: [steering r2_clipped, brake f1]
rungs:
  - {name: film, crf: 28, preset: ultrafast, frames_per_second: 30}
  - {name: wide, height: 96, width: 128, fit: letterbox, picture: {brightness: 0.5, hide: [[0, 0, 0.5, 1]]}}
"""


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drivers")
    for driver in ("calm", "wild"):
        for episode in range(2):
            write_tiny_recording(folder / driver, episode + 2 * (driver == "wild"), 40)
    return folder


def climb(drivers: Path, out: Path, *words: str) -> int:
    (out.parent / "rungs.yaml").write_text(RUNGS)
    config = str(out.parent / "rungs.yaml")
    return main(["ladder", str(drivers), "--config", config, "--out", str(out), "--workers", "1", *words])


def test_each_rung_has_a_row_and_each_figure_an_interval_and_baselines(drivers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert climb(drivers, out) == 0
    (folder,) = out.glob("idm-carracing-video-*")
    report = json.loads((folder / "ladder.json").read_text())
    assert [rung["name"] for rung in report["rungs"]] == ["film", "wide"]
    film = report["rungs"][0]
    assert {driver: found["frames"] for driver, found in film["drivers"].items()} == {"calm": 48, "wild": 48}
    for who in ("labels", "last frame"):
        value, low, high = film["mean"]["steering"]["r2_clipped"][who]
        assert low <= value <= high
    each = [found["figures"]["steering"]["r2_clipped"] for found in film["drivers"].values()]
    assert film["mean"]["steering"]["r2_clipped"]["labels"][0] == pytest.approx(np.mean(each))
    table = (folder / "ladder.md").read_text().splitlines()
    assert table[0].split(" | ")[1:3] == ["steering r2_clipped", "brake f1"]
    assert len(table) == 4
    assert "film,calm,steering,r2_clipped,labels," in (folder / "ladder.csv").read_text()
    assert (folder / "ladder.png").read_bytes().startswith(b"\x89PNG")

    kept, made = [*folder.glob("labels/*.json")], [*out.glob("renditions/*/*.mkv")]
    assert (len(kept), len(made)) == (4, 8)
    kept[0].unlink()  # as if the run had been stopped there
    times = {path: path.stat().st_mtime_ns for path in (*kept[1:], *made)}
    first = (folder / "ladder.json").read_bytes()
    assert climb(drivers, out) == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert (folder / "ladder.json").read_bytes() == first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ckpt_path", "zoo:vpt-carracing"], "holds a VPT, which labels no video"),
        (["--episodes", "0"], "expected at least 1"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    words: list[str], message: str, drivers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert climb(drivers, tmp_path / "out", *words) == 2
    assert message in capsys.readouterr().err


def test_a_folder_of_recordings_is_one_driver_and_video_without_controls_is_refused(tmp_path: Path) -> None:
    write_tiny_recording(tmp_path / "one", 0, 8)
    assert {name: len(pairs) for name, pairs in drivers_in(tmp_path / "one").items()} == {"one": 1}
    write_tiny_recording(tmp_path / "film", 1, 8, actions=False)
    with pytest.raises(ValueError, match="has no controls"):
        drivers_in(tmp_path / "film")


def test_a_mean_over_groups_is_that_of_their_figures_and_of_one_group_its_interval() -> None:
    random = np.random.default_rng(0)
    episodes = [[(x + 0.3 * random.normal(size=30), x)] for x in random.normal(size=(8, 30))]
    one, other = regression(episodes[:4]), regression(episodes[4:])
    for mine, known in zip(
        interval_of_group_means([one.sums], one.figures), interval_of_sums(one.sums, one.figures), strict=True
    ):
        np.testing.assert_array_equal(mine, known)
    value, low, high = interval_of_group_means([one.sums, other.sums], one.figures)
    np.testing.assert_allclose(value, (one.figures(one.sums.sum(0)) + other.figures(other.sums.sum(0))) / 2)
    assert (low < value).all()
    assert (value < high).all()


def test_pictures_are_changed_as_said() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    assert PictureChange().drawn(0)(frame) is frame
    np.testing.assert_allclose(PictureChange(brightness=0.5).drawn(0)(frame), frame / 2, atol=1)
    np.testing.assert_allclose(PictureChange(gamma=2).drawn(0)(frame), 255 * (frame / 255) ** 2, atol=1)
    covered = PictureChange(hide=((0.5, 0, 0.5, 1),)).drawn(0)(frame)
    assert not covered[4:].any()
    np.testing.assert_array_equal(covered[:4], frame[:4])
    grey = np.full((4, 4, 3), 90, np.uint8)
    coloured = PictureChange(colours=True)
    np.testing.assert_allclose(coloured.drawn(3)(grey), grey, atol=1)  # hue and saturation leave grey as it is
    assert (coloured.drawn(3)(frame) != coloured.drawn(4)(frame)).any()
    np.testing.assert_array_equal(coloured.drawn(3)(frame), coloured.drawn(3)(frame))


def test_the_settings_of_a_rendition_name_later_options_only_where_they_are_used() -> None:
    assert "picture" not in Rendition("plain").settings
    changed = Rendition("dark", picture=PictureChange(brightness=0.5, hide=((0, 0, 1, 0.5),))).settings
    assert json.loads(json.dumps(changed)) == changed, "as they are read from a meta file"
    assert changed["picture"]["brightness"] == 0.5  # type: ignore[index]


def test_the_shipped_ladder_parses_and_its_default_model_is_in_the_zoo() -> None:
    from racing_vpt.cli.main import tool_parser

    parser, _ = tool_parser("ladder")
    options = parser.instantiate(parser.parse_args(["data/judges", "--config", "configs/ladder.yaml"]))
    assert len({rung.name for rung in options.rungs}) == len(options.rungs) > 20
    assert (ZOO / options.ckpt_path.removeprefix("zoo:")).is_dir()
