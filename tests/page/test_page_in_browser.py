"""The page of `racing-vpt view --html` in Chromium: nothing leaves it, films play and scrub, keys and marks work.

Needs Debian's `chromium` and the package `playwright` (tests/README.md); `axe-playwright-python` for accessibility.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from racing_vpt.data.label_files import write_labels
from racing_vpt.data.recordings import find_recordings
from racing_vpt.types import FrameRecord
from racing_vpt.verbs.pack import pack
from racing_vpt.verbs.view import view

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("chromium is not installed (Debian: apt-get install chromium)", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="needs: pip install playwright axe-playwright-python")
WIDTHS, SCHEMES = (1280, 390), ("light", "dark")
SHOWN = "film.video.readyState >= 2 && !film.video.seeking"
CORNER = """() => {  // the two patches of the picture's last rows, which encode episode and frame
  const [video, canvas] = [document.getElementById('film'), document.createElement('canvas')];
  Object.assign(canvas, {width: video.videoWidth, height: video.videoHeight});
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0);
  const at = (share) => context.getImageData(share * canvas.width, 0.94 * canvas.height, 1, 1).data[0];
  return [at(0.25), at(0.75)];
}"""


@pytest.fixture(scope="module")
def labels(tiny_recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels that turn the wrong way in the frames 20 to 29, and are less sure there."""
    folder = tmp_path_factory.mktemp("labels")
    for recording in find_recordings(tiny_recordings):
        records = []
        for record in recording.records():
            off = 20 <= record.frame < 30
            action = {**record.action, "steering": -1.0 if off else record.action["steering"]}
            sure = 0.3 - recording.num_frames / 1000 if off else 0.9
            records.append(FrameRecord(record.frame, record.timestamp, action, confidence=sure))
        meta = {"checkpoint": "abc", "checkpoint_name": "idm", "video_sha256": recording.sha256}
        write_labels(folder / f"{recording.name}.jsonl", records, meta)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield opened
        opened.close()


def until(page: Page, condition: str, seconds: float = 10.0) -> None:
    """Wait for a condition (playwright's own waiting evaluates strings in the page, which its policy forbids)."""
    for _ in range(int(seconds / 0.05)):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{condition} did not become true in {seconds:g} s")


class Opened:
    """A page, with what went wrong in it and what it asked for."""

    def __init__(self, browser: Browser, file: Path, width: int = 1280, scheme: str = "light") -> None:
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        until(self.page, SHOWN)

    def frame(self) -> int:
        return self.page.evaluate("film.frame")

    def picture(self) -> list[int]:
        """What the shown picture encodes: episode and frame."""
        until(self.page, SHOWN)
        self.page.wait_for_timeout(60)
        episode, frame = self.page.evaluate(CORNER)
        return [round((episode - 20) / 25), round(frame / 2)]


@pytest.fixture(scope="module")
def inside(tiny_recordings: Path, labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "view.html"
    view(tiny_recordings, labels=labels, html=out)
    return out


@pytest.fixture(scope="module")
def opened(browser: Browser, inside: Path) -> Iterator[Opened]:
    shown = Opened(browser, inside)
    yield shown
    shown.page.close()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_fits_and_asks_for_nothing(width: int, scheme: str, browser: Browser, inside: Path) -> None:
    shown = Opened(browser, inside, width, scheme)
    assert shown.faults == []
    assert all(address.startswith(("blob:", "data:", inside.as_uri())) for address in shown.asked)
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.page.locator("#charts canvas").count() == 5  # three controls, reward, confidence
    shown.page.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(scheme: str, browser: Browser, inside: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs: axe-playwright-python")
    page = browser.new_page(color_scheme=scheme, bypass_csp=True)  # axe is put into the page as a script
    page.goto(inside.as_uri())
    until(page, SHOWN)
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    page.close()


def test_every_film_shows_the_frame_that_was_asked_for(opened: Opened) -> None:
    for episode in range(6):
        opened.page.locator(f"[data-episode='{episode}']").click()
        until(opened.page, f"current === {episode}")
        for frame in (0, 31, 17):
            opened.page.evaluate(f"film.seek({frame})")
            assert opened.picture() == [episode, frame]
    assert opened.faults == []


def test_films_play_to_their_end(opened: Opened) -> None:
    opened.page.locator("[data-episode='0']").click()
    opened.page.locator("#play").click()
    until(opened.page, "film.video.ended && film.frame === 39")
    assert opened.page.locator("#play").inner_text() == "Play"


def test_keys_step_jump_and_change_the_episode(opened: Opened) -> None:
    page = opened.page
    page.locator("[data-episode='1']").click()
    page.locator("body").press("Home")
    for key, frame in (("ArrowRight", 1), ("Shift+ArrowRight", 51), ("ArrowLeft", 50), ("b", 20), ("End", 89)):
        page.keyboard.press(key)
        assert opened.frame() == frame, key
    page.keyboard.press("c")
    until(page, "20 <= film.frame && film.frame < 30 && current === 1")  # the longest is the least sure
    page.keyboard.press("k")
    until(page, "current === 0")
    page.keyboard.press("h")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    page.locator("#scrub").focus()
    page.keyboard.press("ArrowRight")
    assert opened.frame() == 1
    page.locator("#find").fill("10003")
    page.locator("#find").press("n")  # a letter of the text, no key of the page
    assert opened.frame() == 1
    page.locator("#find").fill("")


def test_a_click_into_a_chart_seeks(opened: Opened) -> None:
    box = opened.page.locator("#charts .u-over").first.bounding_box()
    assert box is not None
    opened.page.locator("[data-episode='1']").click()
    until(opened.page, "current === 1")
    opened.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 10)
    assert abs(opened.frame() - 45) <= 1


def test_marks_are_downloaded_and_packed(opened: Opened, tiny_recordings: Path, tmp_path: Path) -> None:
    page = opened.page
    page.locator("[data-episode='1']").click()
    until(page, "current === 1")
    page.evaluate("film.seek(20)")
    page.keyboard.press("i")
    page.keyboard.press("Shift+ArrowRight")
    page.evaluate("film.seek(29)")
    page.keyboard.press("o")
    page.keyboard.press("a")
    page.keyboard.type("a </script> menu")
    page.keyboard.press("Enter")
    page.locator("#mark-start").fill("70")
    page.locator("#mark-form button[type=submit]").click()
    assert "from 0 to 89" in page.locator("#mark-fault").inner_text()
    with page.expect_download() as download:
        page.locator("#download").click()
    file = tmp_path / "excluded.json"
    download.value.save_as(file)
    (stretch,) = json.loads(file.read_text())["stretches"]
    assert (stretch["start"], stretch["stop"], stretch["why"]) == (20, 30, "a </script> menu")
    manifest = pack(tiny_recordings, tmp_path / "shards", exclude=file)
    assert {"tiny-10001-from0000000", "tiny-10001-from0000030"} <= {*manifest["episodes"]}
    page.evaluate("marks.list = []; marks.changed(true)")
    page.locator("#load").set_input_files(file)
    until(page, "marks.list.length === 1")


def test_films_beside_the_page_play_from_disk(browser: Browser, tiny_shards: Path, tmp_path: Path) -> None:
    view(tiny_shards, html=tmp_path / "shards.html", films="beside")
    shown = Opened(browser, tmp_path / "shards.html")
    shown.page.evaluate("film.seek(33)")
    until(shown.page, SHOWN)
    shown.page.wait_for_timeout(200)
    shot = shown.page.locator("#film").screenshot()  # pixels of a file on disk cannot be read by a script
    picture = cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert abs(int(picture[round(0.94 * len(picture)), round(0.75 * picture.shape[1])]) - 2 * 33) <= 2
    assert shown.faults == []
    assert all(address.startswith(("data:", tmp_path.as_uri())) for address in shown.asked)
    for film in (tmp_path / "shards-films").iterdir():
        film.unlink()
    gone = browser.new_page()
    gone.goto((tmp_path / "shards.html").as_uri())
    until(gone, "document.getElementById('film-fault').textContent.includes('is it there')")
