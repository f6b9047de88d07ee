"""A process hangs if it is silent although it could run, not where it waits for a core or was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from racing_vpt.video import silence
from racing_vpt.video.silence import PATIENCE, Silence


class Machine:
    """A process in a given state that gets a share of a core, and a clock."""

    def __init__(self, folder: Path, state: str, share: float) -> None:
        self.file, self.state, self.share, self.now = folder / "7" / "stat", state, share, 100.0
        self.file.parent.mkdir()
        self.advance(0)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        ticks = int(self.now * self.share * 100)
        self.file.write_text(f"7 (a) b) {self.state} 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 0")

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("state", "share", "looks"),
    [
        ("R", 1.0, 12),  # computes for ever
        ("S", 0.0, 12),  # waits for something that does not come
        ("D", 0.0, 12),
        ("R", 0.2, 60),  # shares its core with four others
        ("R", 0.0, 120),  # got no core at all
        ("T", 0.0, 120),  # was stopped
    ],
)
def test_only_time_in_which_a_process_could_run_counts(
    state: str, share: float, looks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path, state, share)
    monkeypatch.setattr(silence, "PROCESSES", tmp_path)
    monkeypatch.setattr(silence, "time", machine)
    silent, count, ended = Silence(7, allowed=12), 0, False
    while not ended:
        machine.advance(1)
        count, ended = count + 1, silent.too_long()
        assert count <= 12 * PATIENCE
    assert abs(count - looks) <= 5
    silent.broken()
    assert not silent.too_long()


def test_time_for_which_the_machine_was_suspended_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path, "S", 0.0)
    monkeypatch.setattr(silence, "PROCESSES", tmp_path)
    monkeypatch.setattr(silence, "time", machine)
    silent = Silence(7, allowed=60)
    machine.advance(3600)
    assert not silent.too_long()
