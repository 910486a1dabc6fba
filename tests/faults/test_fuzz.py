"""A small version of ``make fuzz``."""

from __future__ import annotations

from collections import Counter

from tests.faults.fuzz import run


def test_mutated_spans_neither_raise_nor_get_lost_nor_are_refused() -> None:
    report = run(1_000, seed=0)
    assert (report.lost, report.exceptions, report.invalid) == ([], Counter(), Counter())
    assert report.ai_spans > 700
