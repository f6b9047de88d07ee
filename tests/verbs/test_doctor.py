"""The doctor names problems with advice, and exits with 1 only if something does not work."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from racing_vpt.cli.main import main
from racing_vpt.cli.versions import compare, required_names
from racing_vpt.verbs import doctor as doctor_module
from racing_vpt.verbs.doctor import Finding, doctor


def test_versions_are_right_missing_or_different(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("racing_vpt.cli.versions.required_names", lambda: {"no-such-package"})
    constraints = tmp_path / "constraints.txt"
    lines = [f"numpy=={version('numpy')}", "einops==0.0.1 # old", "No_such.package==1.0", "of-an-extra==2.0"]
    constraints.write_text("# exact\n" + "\n".join(lines) + "\n")
    found = compare(constraints)
    assert found.right == ["numpy"]
    assert found.missing == [("No_such.package", "1.0")]
    assert found.different == [("einops", "0.0.1", version("einops"))]
    constraints.write_text("numpy>=2\n")
    with pytest.raises(ValueError, match="line 1: expected name==version"):
        compare(constraints)


def test_what_installed_packages_require_is_known_without_their_extras() -> None:
    assert {"torch", "lightning", "typing-extensions"} <= required_names()
    assert "wandb" not in required_names()  # an extra of ours


def test_each_check_reports_and_this_machine_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(runs=tmp_path / "runs", constraints=Path(__file__).parents[2] / "constraints.txt") == 0
    said = capsys.readouterr().out
    for word in ("Python", "versions", "decoder pyav", "GPU", "environment CarRacing-v3", "window", "run folder",
                 "temporary folder", "disk", "memory"):  # fmt: skip
        assert word in said
    assert not list(tmp_path.iterdir())


def test_what_does_not_work_is_red_with_advice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> list[Finding]:
        raise OSError("the screen is upside down")

    monkeypatch.setattr(doctor_module, "check_window", broken)
    assert main(["doctor", "--only", '["window"]']) == 1
    said = capsys.readouterr().out
    assert said.startswith("red")
    assert "upside down" in said
    assert "do: " in said


def test_an_unknown_check_is_answered_with_the_existing_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--only", '["windows"]']) == 2
    assert "there are versions, decoders" in capsys.readouterr().err


def test_what_the_screen_lacks_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["doctor", "--screen"]) == 1
    assert "xvfb is not installed; on Debian and Ubuntu: apt-get install xvfb" in capsys.readouterr().out
