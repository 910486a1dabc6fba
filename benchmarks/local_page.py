"""How long the local PostHog takes for its pages, with few and many events, in many and in large traces.

Each figure is the median of nine requests over loopback, in milliseconds; answers are read to the end.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests

from otel_posthog.local import LocalPostHog
from otel_posthog.local.index import refresh

SHAPES = {  # traces, and events of each
    "1,000 events": (200, 5),
    "50,000 events": (10_000, 5),
    "1,000 traces of 50": (1_000, 50),
    "one trace of 5,000": (1, 5_000),
}
LIMIT = 300  # milliseconds
LIMITED = ("first page", "a trace")
_START = 1_790_000_000
_TEXT = "The quick brown fox jumps over the lazy dog. " * 20
_PAGES = {
    "first page": "/",
    "a trace": "/local/trace?id={trace}",
    "an event": "/local/event?seq=3",
    "page 20": "/?before={before}",
    "one user's traces": "/?user=user-3",
    "traces with errors": "/?errors=1",
    "a word in any prompt": "/?q=number+7+of",
    "a word in no prompt": "/?q=nowhere-to-be-found",
    "generations": "/local/generations",
    "sessions": "/local/sessions",
    "dashboard": "/local/dashboard",
}


def events(traces: int, size: int) -> Iterator[dict[str, Any]]:
    """Agents with a tool and two generations, and their trace: about 1.5 KB of text an event."""
    for number in range(traces):
        trace_id = f"{number:032x}"
        for step in range(size // 5):
            agent = f"agent-{step}"
            rows = (
                ("$ai_trace", trace_id, trace_id, {"$ai_trace_name": f"question {number}"}),
                ("$ai_span", agent, trace_id, {"$ai_latency": 2.0, "$ai_input_state": _TEXT}),
                ("$ai_generation", f"first-{step}", agent, _call(number)),
                ("$ai_span", f"tool-{step}", agent, {"$ai_latency": 0.2, "$ai_output_state": {"text": _TEXT}}),
                ("$ai_generation", f"second-{step}", agent, {**_call(number), "$ai_is_error": number % 50 == 1}),
            )
            for position, (name, span_id, parent_id, properties) in enumerate(rows):
                seconds = _START + 2 * (number * size // 5 + step)
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{position}00Z"
                known = {"$ai_trace_id": trace_id, "$ai_span_id": span_id, "$ai_parent_id": parent_id}
                known["$ai_session_id"] = f"session-{number // 10}"
                yield {
                    "event": name,
                    "distinct_id": f"user-{number % 40}",
                    "uuid": str(uuid4()),
                    "timestamp": stamp,
                    "properties": {**known, **properties},
                }


def _call(number: int) -> dict[str, Any]:
    return {
        "$ai_model": ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash")[number % 3],
        "$ai_provider": ("openai", "anthropic", "gcp.gemini")[number % 3],
        "$ai_input": [{"role": "user", "content": f"This is number {number} of many. {_TEXT}"}],
        "$ai_output_choices": [{"role": "assistant", "content": _TEXT}],
        "$ai_input_tokens": 400 + number % 100,
        "$ai_output_tokens": 90,
        "$ai_latency": 0.5 + number % 7 / 10,
    }


def measure(traces: int, size: int, folder: str) -> dict[str, float]:
    """Milliseconds by page, and the events that are indexed in a second."""
    found: dict[str, float] = {}
    with LocalPostHog(database=Path(folder) / f"{traces}-{size}.db") as posthog, requests.Session() as session:
        batch = list(events(traces, size))
        count = len(batch)
        for start in range(0, len(batch), 500):
            document = {"api_key": "phc_bench", "batch": batch[start : start + 500]}
            session.post(f"{posthog.url}/batch/", json=document, timeout=60).raise_for_status()
        started = time.perf_counter()
        refresh(posthog.store)
        found["events indexed in a second"] = count / (time.perf_counter() - started)
        middle = f"{traces // 2:032x}"
        for name, path in _PAGES.items():
            url = posthog.url + path.format(trace=middle, before=max(count - 5000, count // 2))
            times = []
            for _ in range(9):
                started = time.perf_counter()
                session.get(url, timeout=60).raise_for_status()
                times.append((time.perf_counter() - started) * 1000)
            found[name] = statistics.median(times)
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        results = {name: measure(*shape, folder) for name, shape in SHAPES.items()}
    print("| milliseconds | " + " | ".join(results) + " |")
    print("| --- | " + " | ".join("---:" for _ in results) + " |")
    for page in ("events indexed in a second", *_PAGES):
        print(f"| {page} | " + " | ".join(f"{result[page]:,.0f}" for result in results.values()) + " |")
    slow = [(page, name) for page in LIMITED for name, result in results.items() if result[page] > LIMIT]
    for page, name in slow:
        print(f"{page} takes more than {LIMIT} ms with {name}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
