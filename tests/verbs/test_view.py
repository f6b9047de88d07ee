"""Viewing labels: agreement, display, and no clipped text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pygame
import pytest

from racing_vpt.cli.main import main
from racing_vpt.data.label_files import write_labels
from racing_vpt.data.recording import RecordingWriter
from racing_vpt.games.read import load_game
from racing_vpt.play.controls_box import box_height, draw_box, widgets_of
from racing_vpt.play.labelled_files import open_film
from racing_vpt.play.labelled_film import LabelledFilm, agreement
from racing_vpt.play.playback import FASTEST, Playback
from racing_vpt.play.screen import show
from racing_vpt.play.viewer import Viewer
from racing_vpt.play.widgets import BOX_WIDTH, Look, strength_of
from racing_vpt.types import FrameRecord
from racing_vpt.verbs.view import view
from racing_vpt.video.decode import open_video
from racing_vpt.video.encode import VideoWriter
from racing_vpt.window.text import BACKGROUND, RIGHT, WRONG, fitting, text_width
from racing_vpt.window.window import Keys

SIZES = {"carracing": (96, 96), "nes": (224, 240), "minecraft": (360, 640)}
NUM_FRAMES = 12


def some_controls(scheme: str, seed: int) -> list[dict[str, float]]:
    random = np.random.default_rng(seed)
    limits = load_game(scheme).scheme().limits
    rows = []
    for _ in range(NUM_FRAMES):
        row = {name: float(random.uniform(low, high)) for name, (low, high) in limits.items()}
        whole = [name for name in row if name not in ("steering", "throttle", "brake", "camera_pitch", "camera_yaw")]
        rows.append(row | {name: float(round(row[name])) for name in whole})
    return rows


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of each scheme, and labels in `labels/SCHEME.jsonl` that are wrong in the frames from 6 on."""
    folder = tmp_path_factory.mktemp("view")
    for scheme, (height, width) in SIZES.items():
        true, wrong = some_controls(scheme, 0), some_controls(scheme, 1)
        with RecordingWriter(folder, scheme, frames_per_second=20, meta={}) as writer:
            for index, controls in enumerate(true):
                writer.add(np.full((height, width, 3), 200, np.uint8), FrameRecord(index, index / 20, controls))
        said = [*true[:6], *wrong[6:]]
        records = [FrameRecord(i, i / 20, row, confidence=0.5 + i / 30) for i, row in enumerate(said)]
        write_labels(folder / "labels" / f"{scheme}.jsonl", records, {})
    return folder


def film_of(folder: Path, scheme: str) -> LabelledFilm:
    return open_film(folder / f"{scheme}.mp4", folder / "labels" / f"{scheme}.jsonl", None, 0.1)


def test_a_game_that_is_steered_by_buttons_shows_keys_in_the_place_of_the_wheel() -> None:
    widgets = widgets_of(["left", "right", "throttle", "brake", "nitro"])
    assert [type(one).__name__ for one in widgets] == ["Pedal", "Pedal", "Key", "Key", "Bar"]
    canvas, height = np.full((600, 600, 3), BACKGROUND, np.uint8), box_height(["left", "right", "throttle", "brake"])
    for widget in widgets[:-1]:
        before = canvas.copy()
        widget.draw(canvas, {"left": 1.0, "right": 0.0, "throttle": 0.5, "brake": 1.0}, Look())
        assert (before[(canvas != before).any(-1)] == BACKGROUND).all(), f"{widget} is drawn over another"
    assert np.argwhere((canvas != BACKGROUND).any(-1))[:, 0].max() < height < box_height(["steering", "throttle"])


@pytest.mark.parametrize("scheme", SIZES)
def test_no_picture_is_cut_off(scheme: str, recordings: Path) -> None:
    controls = some_controls(scheme, 2)[0]
    canvas = np.full((600, 600, 3), BACKGROUND, np.uint8)
    for widget in widgets_of(list(controls)):
        widget.draw(canvas, controls, Look(WRONG))
    drawn = np.argwhere((canvas != BACKGROUND).any(-1))
    assert (drawn.min(0) > 0).all()
    assert tuple(drawn.max(0)) < (box_height(list(controls)), BOX_WIDTH)
    assert drawn[:, 1].max() < BOX_WIDTH
    film = film_of(recordings, scheme)
    picture = film.picture(7)
    assert picture.shape == (*film.shape, 3)
    panel = picture[: film.above[0], -film.panel_width :]
    for edge in (panel[:6], panel[-6:], panel[:, :4], panel[:, -6:]):
        assert (edge == BACKGROUND).all()


@pytest.mark.parametrize("scheme", SIZES)
def test_a_small_picture_is_enlarged_and_a_large_one_fits(scheme: str, recordings: Path) -> None:
    film = film_of(recordings, scheme)
    height, width = film.scaled(film.above[0])
    assert height <= film.above[0]
    assert width <= 960
    assert height / SIZES[scheme][0] == pytest.approx(width / SIZES[scheme][1], rel=0.02)
    if scheme == "carracing":
        assert height >= 4 * 96


@pytest.mark.parametrize("scheme", SIZES)
def test_agreement_is_green_and_disagreement_red(scheme: str, recordings: Path) -> None:
    film = film_of(recordings, scheme)
    right, wrong = film.picture(5), film.picture(8)
    assert not (right == WRONG).all(-1).any()
    assert (right == RIGHT).all(-1).any()
    assert (wrong == WRONG).all(-1).any()
    assert all(flags[:6].all() for flags in film.agreed.values())
    assert film.running[""][5] == 1
    every = np.all(list(film.agreed.values()), axis=0)
    assert film.running[""][-1] == pytest.approx(every.mean())
    name = next(iter(film.agreed))
    assert film.running[name][8] == pytest.approx(film.agreed[name][:9].mean())


def test_axes_agree_within_the_tolerance_and_the_camera_in_its_class() -> None:
    said = {"steering": [0.1, 0.3], "camera_yaw": [0.3, 0.6], "gear_change": [0.0, 1.0], "jump": [1.0, 0.0]}
    true = {"steering": [0.19, 0.1], "camera_yaw": [0.2, 1.0], "gear_change": [0.0, 0.0], "jump": [1.0, 0.0]}
    columns = [{name: np.array(values, np.float32) for name, values in side.items()} for side in (said, true)]
    agreed = agreement(*columns, tolerance=0.1)  # type: ignore[misc]
    assert {name: flags.tolist() for name, flags in agreed.items()} == {
        "steering": [True, False], "camera_yaw": [False, True], "gear_change": [True, False], "jump": [True, True],
    }  # fmt: skip


def test_turning_the_wheel_turns_its_picture() -> None:
    pictures = []
    for steering in (-0.4, 0.0, 0.4):
        canvas = np.full((300, BOX_WIDTH, 3), BACKGROUND, np.uint8)
        draw_box(canvas, (0, 0), {"steering": steering, "throttle": 0.0, "brake": 0.0})
        blue = np.argwhere((canvas[:120] == (90, 170, 255)).all(-1))
        pictures.append(blue[:, 1].mean() - BOX_WIDTH / 2)
    assert pictures[0] < -20 < pictures[1] < 20 < pictures[2]


def test_a_long_title_keeps_its_end() -> None:
    assert fitting("short", 300) == "short"
    assert text_width(fitting("a" * 300, 300)) <= 300
    long = fitting("a" * 300 + "the-end", 300)
    assert long.startswith("...")
    assert long.endswith("the-end")


def test_view_writes_a_film_where_there_is_no_display(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["view", str(recordings / "carracing.mp4"), "--labels", str(recordings / "labels")]) == 0
    film = open_video(tmp_path / "carracing.view.mp4")
    assert (film.num_frames, film.height, film.width) == (NUM_FRAMES, *film_of(recordings, "carracing").shape)
    printed = capsys.readouterr().out
    assert "steering" in printed
    assert "every control at once" in printed


def test_a_part_of_the_film_at_another_speed(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.mp4"
    view(recordings / "carracing.meta.json", out=out, first_frame=3, num_frames=5, speed=0.5)
    film = open_video(out)
    assert film.num_frames == 5
    assert film.timestamps[1] - film.timestamps[0] == pytest.approx(0.1)


def test_any_video_is_shown_with_labels_alone(recordings: Path, tmp_path: Path) -> None:
    video = tmp_path / "elsewhere.mp4"
    writer = VideoWriter(video, 20.0, 360, 640)
    for _ in range(NUM_FRAMES):
        writer.add(np.zeros((360, 640, 3), np.uint8))
    writer.close()
    film = open_film(video, recordings / "labels" / "minecraft.jsonl", None, 0.1)
    assert (film.title, film.frames_per_second, film.true) == ("elsewhere", 20.0, None)
    assert film.picture(0).shape == (*film.shape, 3)
    with pytest.raises(ValueError, match="no controls beside it; give --labels"):
        view(video)


def test_lines_of_another_video_or_game_are_refused(recordings: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.jsonl"
    lines = (recordings / "carracing.jsonl").read_text().splitlines()[:5]
    short.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"short\.jsonl has 5 lines, but .*carracing\.mp4 has 12 frames"):
        view(recordings / "carracing.mp4", labels=short)
    with pytest.raises(ValueError, match="none is in both"):
        view(recordings / "carracing.mp4", labels=recordings / "labels" / "minecraft.jsonl")
    with pytest.raises(FileNotFoundError, match=r"no .*nowhere\.jsonl"):
        view(recordings / "carracing.mp4", labels=tmp_path / "nowhere.jsonl")
    with pytest.raises(ValueError, match="frames that are there"):
        view(recordings / "carracing.mp4", first_frame=12)
    assert json.loads(lines[0])["frame"] == 0


def test_another_json_as_truth_is_answered_with_the_file_that_was_meant(recordings: Path, tmp_path: Path) -> None:
    labels = recordings / "labels" / "carracing.jsonl"
    meta, scores = recordings / "carracing.meta.json", tmp_path / "scores.json"
    with pytest.raises(
        ValueError, match=r"does not hold controls frame by frame; .*did you mean .*/carracing\.jsonl\?"
    ):
        open_film(recordings / "carracing.mp4", labels, meta, 0.1)
    scores.write_text('{\n "mean": 910.0\n}\n')
    with pytest.raises(ValueError, match=r"scores\.json does not hold .* folder that holds it$"):
        open_film(recordings / "carracing.mp4", labels, scores, 0.1)


def test_keys_stop_step_and_change_the_speed() -> None:
    playback = Playback(100, frames_per_second=20.0)
    for _ in range(30):
        playback.advance(1 / 3)
    assert playback.index == 10
    playback.press("space")
    playback.advance(20)
    assert playback.index == 10
    playback.press("right")
    playback.press("page up")
    assert playback.index == 0
    playback.press("left")
    assert playback.index == 0
    playback.press("space")
    playback.advance(40)
    assert playback.index == 40
    playback.advance(200)
    assert (playback.index, playback.plays) == (99, False)
    playback.press("space")
    assert playback.index == 0
    playback.press("end")
    assert playback.ended
    for _ in range(9):
        playback.press_speed("up")
    assert playback.speed == FASTEST


def test_a_key_jumps_to_the_next_disagreement(recordings: Path) -> None:
    viewer = Viewer(film_of(recordings, "carracing"))
    viewer.step(Keys())
    assert viewer.playback.index == 0
    viewer.step(Keys(pressed=("n",)))
    begin = int(np.flatnonzero(~viewer.film.time_line.right)[0])
    assert (viewer.playback.index, viewer.playback.plays) == (begin, False)
    assert begin >= 6  # where the labels begin to be wrong
    viewer.step(Keys(pressed=("end", "b")))
    assert viewer.film.time_line.right[viewer.playback.index - 1]
    viewer.step(Keys(pressed=("home", "b")))
    assert "no more" in viewer.note
    viewer.step(Keys(pressed=("q",)))
    assert viewer.over


def test_the_viewer_shows_as_many_frames_as_the_speed_asks_for(recordings: Path) -> None:
    for speed, index in ((0.5, 5), (1.0, 10), (0.25, 2)):
        viewer = Viewer(film_of(recordings, "carracing"), speed)
        pictures = round(viewer.frames_per_second * 0.5)  # half a second
        for _ in range(pictures + 1):
            viewer.step(Keys())
        assert viewer.playback.index == index


def test_the_time_line_shows_label_and_truth_and_fits_below(recordings: Path) -> None:
    film = film_of(recordings, "carracing")
    line = film.time_line
    assert line.names == ["steering", "throttle", "brake", "gear_change"]
    drawn = line.draw(500, 6)
    assert drawn.shape == (line.height, 500, 3)
    assert np.array_equal(
        film.picture(6)[-line.height - film.shape[0] % 2 :][: line.height], line.draw(film.shape[1], 6)
    )
    assert not np.array_equal(drawn, line.draw(500, 7))


def test_an_uncertain_label_is_drawn_fainter() -> None:
    brightest = []
    for confidence in (0.0, 0.09, 0.5, None):
        canvas = np.full((300, BOX_WIDTH, 3), BACKGROUND, np.uint8)
        draw_box(canvas, (0, 0), {"steering": 0.3}, strength=strength_of(confidence))
        brightest.append(int(canvas[..., 2].max() if confidence is None else canvas[:120, :, 2].max()))
    assert brightest == sorted(brightest)
    assert strength_of(0.09) < 0.5 < strength_of(0.5) < strength_of(None) == 1


def test_a_gear_that_never_changes_is_not_shown(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path, "one", frames_per_second=20, meta={}) as writer:
        for index in range(3):
            controls = {"steering": 0.1 * index, "throttle": 1.0, "brake": 0.0, "gear_change": 0.0}
            writer.add(np.zeros((96, 96, 3), np.uint8), FrameRecord(index, index / 20, controls))
    assert open_film(tmp_path / "one.mp4", None, None, 0.1).shown == ["steering", "throttle", "brake"]


def test_the_window_opens_plays_and_closes(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.display.init()
    for key in (pygame.K_RIGHT, pygame.K_h):  # it waits while it shows the keys,
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
    pygame.time.set_timer(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE), 300, loops=1)  # and then ends
    show(Viewer(film_of(recordings, "carracing")))
    assert not pygame.display.get_init()
