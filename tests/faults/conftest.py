"""Prints the table of faults at the end of `make test-faults`."""

from __future__ import annotations

import pytest

from tests.faults import harness


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if harness.FULL and harness.TABLE:
        terminalreporter.write_line("\n" + harness.table())
