"""Twenty events a second to a flaky PostHog, with a spool and without; memory, files and threads must not grow.

``python -m tests.faults.soak [MINUTES]``; PostHog runs in a process of its own, so that only the product is measured.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

import otel_posthog
from otel_posthog import PostHogSpanProcessor, Stats
from tests.faults.loads import KEY, burst
from tests.support.spans import CHAT

FAULTS = [
    "503:rate=0.1", "reset:rate=0.05", "reset-after:rate=0.02", "truncate:rate=0.02",
    "429:retry-after=1,rate=0.02", "hang:rate=0.005", "latency=0.2:rate=0.2",
]  # fmt: skip
_OUTAGE_EVERY, _OUTAGE = 300.0, 20.0  # seconds
_WARM_UP = 21_000  # calls, by which all that is remembered of the last calls is full
_PROMPT = "All work and no play makes Jack a dull boy. " * 60  # 2.6 KB

_POSTHOG = """
import sys
from otel_posthog.local import LocalPostHog
posthog = LocalPostHog(faults=sys.argv[1:]).start()
posthog._port = int(posthog.url.rpartition(":")[2])
print(posthog.url, flush=True)
for line in sys.stdin:
    getattr(posthog, line.strip(), lambda: None)()
    print(len(posthog.events()), flush=True)
"""


class PostHogProcess:
    """A local PostHog in a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", _POSTHOG, *FAULTS]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self._line()

    def do(self, what: str) -> int:
        """``start``, ``stop`` or ``count``; how many different events it has."""
        assert self._process.stdin is not None
        print(what, file=self._process.stdin, flush=True)
        return int(self._line())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@dataclass(frozen=True)
class Sample:
    """``memory`` in bytes."""

    seconds: float
    memory: int
    files: int
    threads: int


def trace(tracer: Tracer, number: int) -> int:
    """An agent with two calls and a tool between them; how many spans."""
    messages = json.dumps([{"role": "user", "parts": [{"type": "text", "content": f"{number} {_PROMPT}"}]}])
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "swallow"}
    call = CHAT | {"gen_ai.input.messages": messages}
    with (
        otel_posthog.context(distinct_id=f"user-{number % 1000}", session_id=f"session-{number // 10}"),
        tracer.start_as_current_span("agent", attributes={"gen_ai.operation.name": "invoke_agent"}),
    ):
        for attributes in (call, tool, call):
            tracer.start_span("step", attributes=attributes).end()
    return 4


def work(
    tracer: Tracer, posthogs: list[PostHogProcess], processors: list[PostHogSpanProcessor], seconds: float
) -> tuple[int, list[Sample]]:
    """Five traces a second; how many spans, and a sample every ten seconds."""
    own, sent, samples = psutil.Process(), 0, list[Sample]()
    while sent < _WARM_UP:
        sent += burst(tracer, 50)
        time.sleep(0.1)  # a burst of all would leave so much free memory behind that a leak could hide in it
    for processor in processors:
        processor.force_flush(120_000)
    begun, warm = time.monotonic(), sent
    is_away = False
    while (passed := time.monotonic() - begun) < seconds:
        sent += trace(tracer, sent)
        if is_away != (passed > _OUTAGE_EVERY and passed % _OUTAGE_EVERY < _OUTAGE):
            is_away = not is_away
            for posthog in posthogs:
                posthog.do("stop" if is_away else "start")
        if passed >= 10 * len(samples):
            gc.collect()
            samples.append(Sample(passed, own.memory_info().rss, own.num_fds(), own.num_threads()))
            pending = " ".join(f"{processor.stats().pending:5d}" for processor in processors)
            print(f"{passed:6.0f} s {samples[-1].memory / 2**20:6.1f} MiB {samples[-1].files:3d} files "
                  f"{samples[-1].threads:3d} threads, pending {pending}", flush=True)  # fmt: skip
        time.sleep(max(0.0, begun + (sent - warm) / 20 - time.monotonic()))
    for posthog in posthogs:
        posthog.do("start")
    return sent, samples


def report(sent: int, stats: list[Stats], samples: list[Sample]) -> None:
    """Print what the documentation quotes; raise ``AssertionError`` if something was lost or has grown."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    before, after = (median(sample.memory for sample in part) / 2**20 for part in (early, late))
    print(f"{samples[-1].seconds / 60:.0f} minutes, {sent:,} spans; memory {before:.1f} MiB in the second quarter, "
          f"{after:.1f} MiB in the last")  # fmt: skip
    for name, found in zip(("memory", "spool"), stats, strict=True):
        print(f"{name}: {found}")
        assert found.accepted == sent == found.delivered + sum(found.dropped.values()), found
        assert not found.dropped, found
    assert after < before * 1.05, "memory has grown"
    assert max(sample.files for sample in late) <= max(sample.files for sample in early) + 4, "files stay open"
    assert max(sample.threads for sample in late) <= max(sample.threads for sample in early), "threads stay"


def main(minutes: float) -> None:
    """Run, and report."""
    posthogs = [PostHogProcess(), PostHogProcess()]
    try:
        with tempfile.TemporaryDirectory() as spool:
            processors = [
                PostHogSpanProcessor(KEY, posthogs[0].url, timeout=4),
                PostHogSpanProcessor(KEY, posthogs[1].url, timeout=4, spool_dir=spool),
            ]
            provider = TracerProvider(shutdown_on_exit=False)
            for processor in processors:
                provider.add_span_processor(processor)
            sent, samples = work(provider.get_tracer("soak"), posthogs, processors, minutes * 60)
            for processor in processors:
                processor.force_flush(60_000)
                processor.stop(30_000)
            left = [path for path in Path(spool).rglob("*") if path.is_file()]
            assert not left, left
        report(sent, [processor.stats() for processor in processors], samples)
        stored = [posthog.do("count") for posthog in posthogs]
        assert stored == [sent, sent], stored
    finally:
        for posthog in posthogs:
            posthog.close()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5)
