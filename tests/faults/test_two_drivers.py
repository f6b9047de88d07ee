"""Reinforcement learning in two processes: each drives tracks of its own, and both end with the same weights."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.faults.harness import FULL


@pytest.mark.skipif(not FULL, reason="starting processes takes a minute; make test-faults")
def test_two_processes_drive_their_own_tracks_and_learn_the_same(tmp_path: Path) -> None:
    """Also while the critic learns alone, and with advantages that are normalized over both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("two_drivers.py")), str(tmp_path)],
        env={**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    one, two = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2))
    assert one["weights"] == two["weights"]
    assert not {*one["seeds"]} & {*two["seeds"]}
    assert len({*one["seeds"], *two["seeds"]}) == 12
    assert one["rewards"] != two["rewards"]
    both = np.array([*one["advantages"], *two["advantages"]])
    assert both.mean() == pytest.approx(0, abs=1e-5)
    assert both.std() == pytest.approx(1, abs=1e-4)
