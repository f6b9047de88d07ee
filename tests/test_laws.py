"""Rules for the whole code: imports between packages, file lengths, speed of the help."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from racing_vpt.cli.main import STAGES, TOOLS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "racing_vpt"
GROUND = (
    "types",
    "free_memory",
    "free_cores",
    "files",
    "outputs",
    "known_files",
    "seeds",
    "statistics",
    "worker_processes",
    "processes",
    "frames",
    "games",
)
UPWARDS = {name: set(GROUND[:place]) for place, name in enumerate(GROUND)}  # each may import those before it
ALL = set(GROUND)
MODELS = ALL | {"nn", "checkpoints", "models"}
DRIVING = MODELS | {"window", "screen", "envs", "agents", "dream", "video", "data", "replay", "rollout"}
MAY_IMPORT = {  # the table of racing_vpt/README.md; a room may always import itself
    **UPWARDS,
    "window": ALL,
    "video": ALL,
    "screen": ALL,
    "hub": ALL,
    "envs": ALL | {"screen"},
    "nn": ALL,
    "checkpoints": ALL | {"hub"},
    "data": ALL | {"video", "hub"},
    "exchange": ALL | {"video", "data"},
    "page": ALL | {"video", "data", "exchange"},
    "overlay": ALL | {"video"},
    "adopt": ALL | {"video", "data", "exchange"},
    "replay": ALL | {"video", "data"},
    "models": ALL | {"nn", "checkpoints"},
    "agents": MODELS | {"screen", "envs", "window"},
    "dream": ALL | {"models", "nn"},
    "rollout": DRIVING - {"rollout"},
    "play": DRIVING,
    "callbacks": DRIVING | {"play", "hub"},
}
FREE = {"verbs", "cli", "bench", "studies", "__main__"}  # everything, imported inside functions
MAY_BE_LONG = {  # path: why it is over 250 lines
    "racing_vpt/cli/main.py": "the help page, which names every verb, and their table",
    "racing_vpt/files.py": "drafts, temporary names and files that are published together are one idea",
    "racing_vpt/exchange/lerobot_export.py": "rows, features and files of a dataset are written in step",
    "racing_vpt/data/recording.py": "one format is written and read in one place",
    "racing_vpt/types.py": "the nouns that cross rooms; most of it is their shapes",
    "racing_vpt/envs/nes_road/rules.py": "the C source of one game, function by function",
    "racing_vpt/models/iris.py": "three parts that learn in one loop, with one state, are one module",
    "racing_vpt/models/token_world.py": "a module that is trained and an imagination.World at once",
    "racing_vpt/verbs/drive.py": "one verb; a third is the help of its options and the fields of its report",
    "racing_vpt/models/idm.py": "training, measuring and labelling of one module; a tenth is the help of its arguments",
    "racing_vpt/models/vpt.py": "training, measuring and acting of one module; a tenth is the help of its arguments",
}
HEAVY = ("torch", "lightning", "matplotlib", "tensorboard", "jsonargparse")


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and room of each of our modules that a file imports, inside functions as well."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively; write racing_vpt.…"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "racing_vpt" else [module]
        for name in names:
            parts = name.split(".")
            if parts[0] == "racing_vpt" and len(parts) > 1 and parts[1] != "__version__":
                yield node.lineno, parts[1]


def test_rooms_import_only_what_the_table_allows() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {imported}"
        for path in files()
        if room(path) not in FREE and room(path) != "__init__"
        for line, imported in imports(path)
        if imported != room(path) and imported not in MAY_IMPORT[room(path)]
    ]
    assert not wrong, "\n".join(wrong)


def test_every_room_stands_in_the_table() -> None:
    rooms = {room(path) for path in files()} - {"__init__", "zoo"}
    assert rooms <= {*MAY_IMPORT, *FREE}


def test_the_table_is_noticed_when_it_is_broken(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def late():\n    from racing_vpt.data.recording import Recording\n    return Recording\n")
    assert list(imports(broken)) == [(2, "data")]


def test_long_files_have_a_reason() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files()}
    long = {name for name, length in lengths.items() if length > 250}
    assert long <= set(MAY_BE_LONG), f"over 250 lines without a reason: {long - set(MAY_BE_LONG)}"


def test_only_files_py_renames_and_syncs_files() -> None:
    wrong = re.compile(
        r"os\.(replace|rename|fsync|link)\(|\.rename\(|\.tmp-|\.replace\([\w.]+\)|\bmkstemp|shutil\.move"
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files()
        if path.name != "files.py"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if wrong.search(line)
    ]
    assert not found, "publish through racing_vpt/files.py:\n" + "\n".join(found)


def test_no_file_is_called_utils() -> None:
    assert not [path for path in files() if path.stem in ("utils", "util", "helpers", "common")]


def test_every_module_says_what_it_is() -> None:
    silent = [
        path for path in files() if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_no_path_of_a_machine_stands_in_the_repository() -> None:
    kinds = ("*.py", "*.yaml", "*.toml", "*.md", "Makefile", "*.sh", "*.txt")
    tracked = subprocess.run(["git", "ls-files", *kinds], cwd=ROOT, capture_output=True, text=True).stdout.split()
    homes = ("/ho" + "me/", "/Us" + "ers/", "/ro" + "ot/", "/wo" + "rk/")
    named = [name for name in tracked if any(home in (ROOT / name).read_text() for home in homes)]
    assert not named


def loaded_by(statement: str) -> set[str]:
    """Heavy packages loaded by a statement in a fresh interpreter."""
    program = f"{statement}\nimport sys\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    assert loaded_by("import racing_vpt.cli.main") == set()


def test_the_help_of_tools_is_quick_because_it_imports_nothing_heavy() -> None:
    loaded = loaded_by(
        "import sys\nfrom racing_vpt.cli.main import TOOLS, tool_parser\n"
        "for verb in TOOLS:\n"
        "    tool_parser(verb)[0].format_help()\n"
        f"    heavy = {{*{HEAVY}}} & {{*sys.modules}} - {{'jsonargparse'}}\n"
        "    assert not heavy, f'racing-vpt {verb} --help imports {heavy}'"
    )
    assert loaded == {"jsonargparse"}


def test_a_scripted_driver_drives_without_torch_and_lightning() -> None:
    call = "drive('expert:calm', 'racing_vpt/CarRacingFast-v3', '1000', max_frames=2, workers=1)"
    quietly = (
        "import contextlib\nfrom racing_vpt.verbs.drive import drive\nwith contextlib.redirect_stdout(None):\n    "
    )
    assert loaded_by(f"{quietly}{call}") == set()


@pytest.mark.parametrize("verb", [None, *TOOLS])
def test_help_answers_at_once(verb: str | None) -> None:
    words = [sys.executable, "-m", "racing_vpt", *([verb] if verb else []), "--help"]
    begun = os.times()
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    seconds = os.times().children_user - begun.children_user
    assert done.returncode == 0, done.stderr
    assert seconds < 1.0, f"{seconds:.2f} s of processor time"
    assert (verb or "usage") in done.stdout


def test_the_help_page_names_every_verb() -> None:
    from racing_vpt.cli import main as cli

    page = cli.__doc__ or ""
    assert all(f"\n  {verb} " in page for verb in (*TOOLS, *STAGES))
