"""``python -m benchmarks.json_libraries``: orjson against msgspec and the standard library, on our payloads."""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.spans import SIZES, make_spans
from tests.support.events import events_of


def microseconds(run: Callable[[], Any]) -> float:
    """Of one call, the least of some rounds."""
    timer = timeit.Timer(run)
    number, _ = timer.autorange()
    return min(timer.repeat(5, number)) / number * 1e6


def main() -> None:
    """Decode the messages of a span, encode its event."""
    table = Table("payload", "work", "json", "msgspec", "orjson", "msgspec / orjson", title="µs")
    for size in SIZES:
        (span,) = make_spans(size, 1)
        text = str((span.attributes or {})["gen_ai.input.messages"])
        (event,) = events_of([span])
        decoders = (json.loads, msgspec.json.decode, orjson.loads)
        encoders = (json.dumps, msgspec.json.encode, orjson.dumps)
        for work, given, runs in (("decode", text, decoders), ("encode", event, encoders)):
            own, spec, fast = (microseconds(partial(run, given)) for run in runs)
            table.add_row(size, work, f"{own:.1f}", f"{spec:.1f}", f"{fast:.1f}", f"{spec / fast:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
