"""Run every fault under every load at full size, and write the table in docs/delivery.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.faults.check import check
from tests.faults.loads import CHAOTIC, FULL, LOADS, PROCESSES, Result, burst, run
from tests.faults.modes import CHAOS, MODES

DOCUMENT = Path(__file__).parents[2] / "docs" / "delivery.md"
BEGIN, END = "<!-- begin: table written by `make faults` -->", "<!-- end -->"
HEAD = "| fault | load | AI spans ended | delivered | dropped | duplicates |\n| --- | --- | ---: | ---: | --- | ---: |"


def row(fault: str, load: str, result: Result) -> str:
    """A line of the table."""
    reasons = sorted(result.stats.dropped.items())
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in reasons) or "0"
    if len(reasons) > 3:
        dropped = f"{sum(result.stats.dropped.values()):,} for {len(reasons)} reasons"
    line = f"| {fault} | {load} | {result.sent:,} | {result.stats.delivered:,} | {dropped} | {result.duplicates:,} |"
    print(line, flush=True)
    return line


def rows() -> Iterator[str]:
    """The lines of the table; each has been checked."""
    for mode in MODES:
        for load, work in LOADS.items():
            result = run(mode, work, FULL)
            check(mode, result)
            yield row(mode.name, load, result)
    for mode in CHAOS:
        result = run(mode.with_small_requests(), burst, CHAOTIC)
        check(mode, result)
        yield row(mode.name, "many small requests", result)
    for load, process in PROCESSES.items():
        result = process(MODES[0], FULL)
        check(MODES[0], result, outage_at_shutdown=load == "shutdown during an outage")
        yield row("503 to all requests" if "fork" not in load else "none", load, result)


def main() -> None:
    """Write the table."""
    table = "\n".join((HEAD, *rows()))
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    main()
