"""The pages are correct: links resolve, paths exist, commands parse, the cheap ones run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import av
import numpy as np
import pytest
import yaml

from racing_vpt.cli.configs import with_config_paths
from racing_vpt.cli.lists import with_lists
from racing_vpt.cli.main import STAGES, TOOLS, main, tool_parser
from racing_vpt.cli.renamed import OPTIONS
from racing_vpt.games.read import load_game
from tests.test_laws import GROUND, MAY_IMPORT

ROOT = Path(__file__).parents[1]
FOLDERS = ("", "configs", "data", "racing_vpt", "racing_vpt/games", "scripts", "tests")
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (
    *(ROOT / folder / "README.md" for folder in FOLDERS), ROOT / "LOG.md", ROOT / "CHANGELOG.md",
    *sorted((ROOT / "racing_vpt" / "zoo").glob("*/README.md")),
)}  # fmt: skip
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
HISTORY = ("LOG.md", "CHANGELOG.md")  # what they name may be gone
CHEAP = ("racing-vpt --help", "racing-vpt doctor", "racing-vpt fit --config vpt --print_config")


def in_blocks(text: str) -> Iterator[str]:
    """Lines of a page's shell blocks."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        yield from (line.split("  #")[0].strip() for line in block.splitlines() if line.strip())


def in_sentences(text: str) -> Iterator[str]:
    """Commands in a page's sentences that name options."""
    for command in re.findall(r"`(racing-vpt [a-z-]+ [^`]*--[^`]*)`", text):
        yield " ".join(command.split())


def in_header(config: Path) -> Iterator[str]:
    """Commands in the comments at the top of a YAML file; a line that ends in a backslash goes on in the next."""
    lines = config.read_text().splitlines()
    top = [line.lstrip("# ") for line in lines[: next((n for n, line in enumerate(lines) if line[:1] != "#"), None)]]
    for line in "\n".join(top).replace("\\\n", " ").splitlines():
        if line.startswith("racing-vpt"):
            yield line.split("     (")[0]


def commands() -> set[str]:
    """All racing-vpt commands in the pages and in the headers of YAML files."""
    pages = [text for name, text in PAGES.items() if name not in HISTORY]
    found = {command for text in pages for command in (*in_blocks(text), *in_sentences(text))}
    found |= {command for config in CONFIGS for command in in_header(config)}
    return {command for command in found if command.startswith("racing-vpt ") and "racing-vpt VERB" not in command}


def parse(command: str) -> None:
    """Parse a command line of racing-vpt; raises where an option or its value is wrong."""
    verb, *words = shlex.split(command.replace(" --print_config", ""))[1:]
    if verb in TOOLS:
        parser, _ = tool_parser(verb)
        parser.parse_args(with_lists(parser, with_config_paths(verb, words)))
    elif verb in STAGES:
        from racing_vpt.cli.parsing import parse_stage

        parse_stage(verb, words)
    else:
        assert command in CHEAP


def anchor(heading: str) -> str:
    """How GitHub names a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings, without lines in code blocks."""
    return {anchor(line.lstrip("#")) for line in re.sub(r"```.*?```", "", text, flags=re.DOTALL).splitlines()
            if line.startswith("#")}  # fmt: skip


def test_the_readme_fits_on_a_few_screens() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 200


def test_the_moving_picture_is_small_enough_to_load_at_once() -> None:
    pictures = re.findall(r"!\[[^]]*\]\((\S+\.(?:gif|webp))\)", PAGES["README.md"])
    assert pictures
    assert all((ROOT / picture).stat().st_size < 2e6 for picture in pictures)


@pytest.mark.parametrize("page", PAGES)
def test_links_resolve(page: str) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if target.startswith(("http://", "https://")):
            continue
        path, _, heading = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if not file.exists() or (heading and heading not in anchors(file.read_text())):
            dead.append(target)
    assert not dead


@pytest.mark.parametrize("page", [page for page in PAGES if page not in HISTORY])
def test_paths_that_a_page_names_exist(page: str) -> None:
    named = re.findall(r"`((?:configs|tests|scripts|racing_vpt|data/samples)/(?![A-Z])[\w/.-]+)`", PAGES[page])
    assert not [path for path in named if not (ROOT / path).exists()]


def test_no_page_names_an_option_by_its_old_name() -> None:
    pages = "\n".join(text for name, text in PAGES.items() if name not in HISTORY)
    named = set(re.findall(r"--((?:model|data|trainer)\.[\w.]+)", pages))
    assert not named & {old for options in OPTIONS.values() for old in options}


def test_the_pages_have_commands() -> None:
    assert len(commands()) >= 40


@pytest.mark.parametrize("command", sorted(commands()))
def test_commands_parse(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    parse(command)


@pytest.mark.parametrize("command", CHEAP)
def test_cheap_commands_run_in_an_empty_folder(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        status = main(shlex.split(command)[1:])
    except SystemExit as end:  # of --print_config
        status = end.code
    assert status in (0, None)
    assert capsys.readouterr().out


def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r"```python\n(.*?)```", PAGES["README.md"], re.DOTALL)
    assert snippets
    for snippet in snippets:
        names: dict[str, object] = {}
        exec(compile(snippet, "README.md", "exec"), names)
        assert set(names["controls"]) >= {"steering", "throttle", "brake"}  # type: ignore[call-overload]


def test_imports_in_pages_work() -> None:
    statements = {statement for text in PAGES.values() for statement in re.findall(r"`(from racing_vpt[^;`]*)", text)}
    assert statements
    for statement in statements:
        exec(statement, {})


@pytest.mark.parametrize("page", PAGES)
def test_yaml_of_a_page_is_yaml(page: str) -> None:
    for snippet in re.findall(r"```yaml\n(.*?)```", PAGES[page], re.DOTALL):
        assert yaml.safe_load(snippet)
        for path in re.findall(r"class_path: (\S+)", snippet):
            module, name = path.rsplit(".", 1)
            assert hasattr(import_module(module), name), path


def test_the_readmes_game_is_one(tmp_path: Path) -> None:
    snippets = re.findall(r"```yaml\n(# my_game.yaml.*?)```", PAGES["README.md"], re.DOTALL)
    (tmp_path / "my_game.yaml").write_text(snippets[0])
    assert load_game(tmp_path / "my_game.yaml").control_names == ("left", "right", "throttle", "brake")


def test_a_recording_written_as_the_page_says_can_be_packed(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `(\w+)`.*\brequired\b", PAGES["data/README.md"], re.MULTILINE)
    known = {"format": 1, "kind": "recording", "name": "ride", "video": "ride.mp4", "num_frames": 12,
             "frames_per_second": 50.0, "actions": True, "seed": 3}  # fmt: skip
    assert set(rows) == known.keys() - {"seed"}
    with av.open(str(tmp_path / "ride.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=50)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        pictures = np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3), np.uint8)
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    line = re.search(r"```json\n(.*?)```", PAGES["data/README.md"], re.DOTALL)
    assert line is not None
    lines = [{**json.loads(line[1]), "frame": frame, "timestamp": frame / 50} for frame in range(12)]
    (tmp_path / "ride.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    (tmp_path / "ride.meta.json").write_text(json.dumps({name: known[name] for name in rows}))
    words = ["pack", "--recordings", str(tmp_path), "--out", str(tmp_path / "shards"), "--val_fraction", "0"]
    assert main(words) == 0
    assert json.loads((tmp_path / "shards" / "manifest.json").read_text())["splits"]["train"]["frames"] == 12


def test_the_table_of_rooms_is_the_one_that_is_tested() -> None:
    section = PAGES["racing_vpt/README.md"].split("## Rooms")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    table: dict[str, set[str]] = {}
    for names, _, allowed in rows:
        rooms = re.findall(r"`(\w+)`", names)
        if "ground floor" in rows[0][1] and names == rows[0][0]:
            assert tuple(rooms) == GROUND
            continue
        words = re.findall(r"`(\w+)`", allowed)
        as_much = re.search(r"what `(\w+)` may", allowed)
        given = set(words) | (table[as_much[1]] if as_much else set())
        table |= dict.fromkeys(rooms, given)
    held = {room: set(may) - set(GROUND) for room, may in MAY_IMPORT.items() if room not in GROUND}
    assert {room: table[room] for room in held if room in table} == held


def test_every_verb_is_in_the_table() -> None:
    table = PAGES["racing_vpt/README.md"].split("## Verbs")[1].split("\n## ")[0]
    assert not [verb for verb in (*TOOLS, *STAGES) if not re.search(rf"`{verb}[ `]", table)]


def test_every_recipe_is_on_the_page_of_recipes() -> None:
    page = PAGES["configs/README.md"]
    folders = ("collect", "demo", "nes", "size", "strategy", "logger", "paper")
    missing = [config.name for config in CONFIGS
               if config.parent.name not in folders and not re.search(rf"\b{config.stem}\b", page)]  # fmt: skip
    assert not missing


def dry_run(*targets: str) -> str:
    """The commands that make would run."""
    words = ["make", "--dry-run", "PYTHON=python3", *targets]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_targets_of_the_pages_exist() -> None:
    pages = [text for name, text in PAGES.items() if name not in HISTORY]
    given = {command for text in pages for command in in_blocks(text) if command.startswith("make ")}
    given |= {" ".join(command.split()) for text in pages for command in re.findall(r"`(make\s[^`]+)`", text)}
    assert len(given) >= 8
    dry_run(*{word for command in given for word in shlex.split(command)[1:]})


def test_make_help_has_a_line_for_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = " ".join(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)).split()
    shown = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert {line.split()[1] for line in shown.splitlines() if line.startswith("make ")} == set(targets)


def test_commands_of_the_makefile_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    targets = ("collect", "pack", "idm", "label", "vpt", "drive")
    shown = dry_run(*targets).replace("\\\n", " ").splitlines()
    lines = [line for line in shown if line.split(" ")[0].endswith("racing-vpt")]
    assert len(lines) >= len(targets)
    for line in lines:
        parse(line)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_yaml_names_no_absolute_path(config: Path) -> None:
    assert not re.search(r"[:\s]/\w+/", yaml.safe_dump(yaml.safe_load(config.read_text())))
