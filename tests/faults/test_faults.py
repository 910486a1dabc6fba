"""Small versions of every fault under every load."""

from __future__ import annotations

import pytest

from tests.faults.check import check
from tests.faults.loads import LOADS, PROCESSES, SMALL, Scale, burst, run
from tests.faults.modes import CHAOS, MODES, Mode


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_the_books_are_right(mode: Mode, load: str) -> None:
    check(mode, run(mode, LOADS[load], SMALL))


@pytest.mark.parametrize("mode", CHAOS, ids=lambda mode: mode.name)
def test_the_books_are_right_behind_a_broken_proxy(mode: Mode) -> None:
    check(mode, run(mode.with_small_requests(), burst, Scale(100, 0.5)))


@pytest.mark.parametrize("load", PROCESSES)
@pytest.mark.parametrize("mode", [MODES[0], MODES[1], MODES[4]], ids=lambda mode: mode.name)
def test_the_books_of_all_processes_are_right(mode: Mode, load: str) -> None:
    check(mode, PROCESSES[load](mode, SMALL), outage_at_shutdown=load == "shutdown during an outage")
