"""What the app does meanwhile: bursts, large events, threads, forks, a kill, a shutdown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from otel_posthog import PostHogSpanProcessor, Stats
from otel_posthog.local import LocalPostHog
from tests.faults.modes import Mode
from tests.support.ports import free_port
from tests.support.spans import CHAT

KEY = "phc_test"


@dataclass(frozen=True)
class Scale:
    """``spans`` in a burst, ``seconds`` of an outage."""

    spans: int
    seconds: float


SMALL, FULL = Scale(600, 1.0), Scale(20_000, 10.0)
CHAOTIC = Scale(2_000, 4.0)


@dataclass(frozen=True)
class Result:
    """``sent`` AI spans have ended; ``stored`` different events are at PostHog, ``duplicates`` came again."""

    sent: int
    stats: Stats
    stored: int
    duplicates: int


def call(tracer: Tracer, **attributes: Any) -> None:
    tracer.start_span("chat", attributes=CHAT | attributes).end()


def burst(tracer: Tracer, spans: int) -> int:
    for _ in range(spans):
        call(tracer)
    return spans


def large_among_small(tracer: Tracer, spans: int) -> int:
    """One event of 1.2 MB and one of 9 MB."""
    for number in range(spans // 10):
        call(tracer)
        if number in (20, 40):
            text = "a word " * (170_000 if number == 20 else 1_300_000)
            messages = [{"role": "user", "parts": [{"type": "text", "content": text}]}]
            call(tracer, **{"gen_ai.input.messages": json.dumps(messages)})
    return spans // 10 + 2


def fifty_threads(tracer: Tracer, spans: int) -> int:
    threads = [threading.Thread(target=burst, args=(tracer, spans // 50)) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return spans // 50 * 50


LOADS: dict[str, Callable[[Tracer, int], int]] = {
    "burst": burst,
    "1.2 MB and 9 MB among small ones": large_among_small,
    "50 threads": fifty_threads,
}


def run(mode: Mode, load: Callable[[Tracer, int], int], scale: Scale) -> Result:
    """A load in this process, and a flush at its end."""
    options = {"max_queue_size": 10 * scale.spans, "max_memory_bytes": 2**31, **dict(mode.options)}
    with LocalPostHog(free_port(), faults=mode.faults) as posthog:
        host = posthog.url  # which it has not while it is away
        with mode.disturb(posthog, scale.seconds) as other:
            sent, stats = _loaded(load, scale, other or host, options)
        return _result(posthog, sent, stats)


def _loaded(load: Callable[[Tracer, int], int], scale: Scale, host: str, options: dict[str, Any]) -> tuple[int, Stats]:
    processor = PostHogSpanProcessor(KEY, host, **options)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    sent = load(provider.get_tracer("load"), scale.spans)
    processor.force_flush(120_000)
    processor.stop(10_000)
    return sent, processor.stats()


def _result(posthog: LocalPostHog, sent: int, stats: Stats) -> Result:
    events = posthog.events()
    return Result(sent, stats, len(events), sum(event["deliveries"] - 1 for event in events))


# --- loads that need processes of their own

_PROGRAM = """
import json, os, sys, time
from opentelemetry.sdk.trace import TracerProvider
from otel_posthog import PostHogSpanProcessor
from tests.faults.loads import KEY, burst
host, spans, spool = sys.argv[1], int(sys.argv[2]), sys.argv[3]
processor = PostHogSpanProcessor(KEY, host, spool_dir=spool or None, max_queue_size=10 * spans)
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(processor)
tracer = provider.get_tracer("load")

def end(code=0):
    stats = processor.stats()
    told = {name: getattr(stats, name) for name in ("accepted", "delivered", "pending", "spooled")}
    print(json.dumps({**told, "dropped": dict(stats.dropped)}), flush=True)
    os._exit(code)
"""
_FORK = """
burst(tracer, spans // 2)
child = os.fork()
burst(tracer, spans // 2)
processor.stop(120_000)
if child:
    os.waitpid(child, 0)
end()
"""
_KILL = """
burst(tracer, spans)
while processor.stats().spooled < spans: time.sleep(0.01)
os.kill(os.getpid(), 9)
"""
_SHUTDOWN = """
burst(tracer, spans)
processor.stop(10_000 if spool else max(500, spans // 2))  # to disk takes little time, but some
deadline = time.monotonic() + 20
def unsettled(stats): return stats.queued or stats.pending > stats.spooled
while unsettled(processor.stats()) and time.monotonic() < deadline: time.sleep(0.01)
end()
"""
_RECOVER = """
while processor.stats().spooled or not processor.stats().accepted: time.sleep(0.01)
processor.stop(10_000)
end()
"""


def _program(code: str, posthog: LocalPostHog, spans: int, spool: str = "") -> list[Stats]:
    """The stats that the program's processes print at their end."""
    command = [sys.executable, "-W", "ignore", "-c", _PROGRAM + code, posthog.url, str(spans), spool]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=os.environ | {"PYTHONPATH": os.getcwd()}
    )
    assert ended.returncode in (0, -9), ended.stderr
    return [Stats(**json.loads(line)) for line in ended.stdout.splitlines()]


def _sum(all_stats: list[Stats]) -> Stats:
    dropped: Counter[str] = Counter()
    for stats in all_stats:
        dropped.update(stats.dropped)
    return Stats(
        accepted=sum(stats.accepted for stats in all_stats),
        delivered=sum(stats.delivered for stats in all_stats),
        pending=sum(stats.pending for stats in all_stats),
        dropped=dict(dropped),
    )


def fork_in_mid_burst(mode: Mode, scale: Scale) -> Result:
    with LocalPostHog(faults=mode.faults) as posthog:
        stats = _program(_FORK, posthog, scale.spans)
        assert len(stats) == 2
        return _result(posthog, scale.spans // 2 * 3, _sum(stats))


def kill_and_restart(mode: Mode, scale: Scale) -> Result:
    """Killed during an outage, with a spool; the next process finds what the first had on disk."""
    with LocalPostHog(faults=["503"]) as posthog, tempfile.TemporaryDirectory() as spool:
        assert _program(_KILL, posthog, scale.spans, spool) == []
        posthog.faults = list(LocalPostHog(faults=mode.faults).faults)
        (stats,) = _program(_RECOVER, posthog, scale.spans, spool)
        return _result(posthog, scale.spans, stats)


def shutdown_in_an_outage(mode: Mode, scale: Scale) -> Result:
    """Without a spool: what is left is lost, and told."""
    with LocalPostHog(faults=["503"]) as posthog:
        (stats,) = _program(_SHUTDOWN, posthog, scale.spans)
        return _result(posthog, scale.spans, stats)


def shutdown_with_a_spool(mode: Mode, scale: Scale) -> Result:
    """The next process sends what the first has left."""
    with LocalPostHog(faults=["503"]) as posthog, tempfile.TemporaryDirectory() as spool:
        (first,) = _program(_SHUTDOWN, posthog, scale.spans, spool)
        posthog.faults = list(LocalPostHog(faults=mode.faults).faults)
        (second,) = _program(_RECOVER, posthog, scale.spans, spool)
        # What the second has accepted is what the first had pending.
        both = replace(_sum([first, second]), accepted=first.accepted, pending=second.pending)
        return _result(posthog, scale.spans, both)


PROCESSES: dict[str, Callable[[Mode, Scale], Result]] = {
    "fork in mid-burst": fork_in_mid_burst,
    "kill -9 with a spool, then a restart": kill_and_restart,
    "shutdown during an outage": shutdown_in_an_outage,
    "shutdown during an outage with a spool, then a restart": shutdown_with_a_spool,
}
