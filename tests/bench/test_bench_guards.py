"""The benchmark of the guards alternates between runs with and without them. Their cost is never asserted."""

from pathlib import Path

import pytest

from racing_vpt.bench.guards import WARM_UP, bench_guards
from racing_vpt.callbacks.finite_guard import FiniteGuard


def test_the_guards_run_in_every_other_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded: list[int] = []
    looked = FiniteGuard.on_before_optimizer_step

    def noted(self: FiniteGuard, trainer, pl_module, optimizer) -> None:  # type: ignore[no-untyped-def]
        guarded.append(trainer.global_step)
        looked(self, trainer, pl_module, optimizer)

    monkeypatch.setattr(FiniteGuard, "on_before_optimizer_step", noted)
    monkeypatch.chdir(tmp_path)
    figures = bench_guards(steps=2, blocks=1, clips=2)
    total = 4 * (1 + WARM_UP) + 1
    assert guarded == [step for step in range(total) if step // 2 % 2 == 0]
    assert figures["step"] > 0
    assert figures["save"] > 0
    assert not list(tmp_path.iterdir())
