"""Some minutes of everything at once; memory must stay flat. ``python -m tests.faults.soak [MINUTES]``."""

from __future__ import annotations

import gc
import sys
import time

import psutil
from opentelemetry.sdk.trace import TracerProvider

from otel_posthog import PostHogSpanProcessor
from otel_posthog.local import LocalPostHog
from tests.faults.loads import KEY, burst

FAULTS = ["503:rate=0.1", "reset:rate=0.05", "429:retry-after=1,rate=0.02", "latency=0.05:rate=0.2", "413:rate=0.02"]


def main(minutes: float) -> None:
    """Print memory, books and rates every ten seconds; raise if memory has grown by a tenth in the second half."""
    own = psutil.Process()
    with LocalPostHog(faults=FAULTS) as posthog:
        processor = PostHogSpanProcessor(KEY, posthog.url, max_queue_size=5000)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(processor)
        tracer = provider.get_tracer("soak")
        begun = time.monotonic()
        end, half, at_half = begun + minutes * 60, begun + minutes * 30, 0
        while time.monotonic() < end:
            until = time.monotonic() + 10
            while time.monotonic() < until:
                burst(tracer, 100)
                time.sleep(0.2)
            posthog.clear()  # its memory is not what is measured
            gc.collect()
            memory = own.memory_info().rss
            print(f"{time.monotonic() - begun:5.0f} s {memory / 2**20:6.1f} MiB {processor.stats()}", flush=True)
            if not at_half and time.monotonic() > half:
                at_half = memory
        processor.stop(30_000)
        stats = processor.stats()
        assert stats.accepted == stats.delivered + sum(stats.dropped.values()), stats
        assert own.memory_info().rss < at_half * 1.1, "memory has grown"


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5)
