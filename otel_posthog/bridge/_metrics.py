"""Prometheus metrics of the bridge, by project (the first digits of its key's SHA-256)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from otel_posthog.bridge._intake import Intake

_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """Counts requests, and reads the intake when it is scraped."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._requests = Counter(
            "otel_posthog_bridge_requests", "Requests by signal and status.", ["signal", "status"],
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "otel_posthog_bridge_request_seconds", "Seconds until a request was answered.", ["signal"],
            registry=self._registry,
        )  # fmt: skip

    @contextmanager
    def measured(self, signal: str) -> Iterator[Callable[[int], None]]:
        """Time a request; call the result with the status of its answer."""
        before = time.perf_counter()

        def answered(status: int) -> None:
            self._requests.labels(signal, str(status)).inc()

        yield answered
        self._seconds.labels(signal).observe(time.perf_counter() - before)

    def exposition(self) -> tuple[bytes, str]:
        """The metrics in Prometheus' text format, and its media type."""
        return generate_latest(self._registry), _MEDIA_TYPE

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        families: dict[str, Metric] = {}

        def add(
            kind: type[CounterMetricFamily] | type[GaugeMetricFamily], name: str, help: str, value: float, **labels: str
        ) -> None:
            family = families.get(name)
            if family is None:
                family = families[name] = kind(f"otel_posthog_bridge_{name}", help, labels=list(labels))
            family.add_metric(list(labels.values()), value)  # type: ignore[attr-defined]

        add(
            GaugeMetricFamily, "held_bytes", "Bytes of requests neither delivered nor on disk.", self._intake.held_bytes
        )
        for name, project in self._intake.projects.items():
            stats, counts, window = project.stats(), project.counts, project.window
            rows = (
                (CounterMetricFamily, "spans", "Spans received.", counts.spans),
                (CounterMetricFamily, "log_records", "Log records received about AI spans.", counts.log_records),
                (CounterMetricFamily, "unclaimed_log_records", "Log records whose span did not come in the window.",
                 counts.unclaimed_log_records),
                (CounterMetricFamily, "events_accepted", "Events made.", stats.accepted),
                (CounterMetricFamily, "events_delivered", "Events that PostHog accepted.", stats.delivered),
                (GaugeMetricFamily, "events_pending", "Events neither delivered nor dropped.", stats.pending),
                (GaugeMetricFamily, "events_spooled", "Pending events on disk.", stats.spooled),
                (GaugeMetricFamily, "spool_bytes", "Bytes of the pending events on disk.", stats.spool_bytes),
                (GaugeMetricFamily, "window_traces", "Traces in the window.", window.traces),
                (GaugeMetricFamily, "window_bytes", "Bytes of what is in the window.", window.bytes),
            )  # fmt: skip
            for kind, metric, help, value in rows:
                add(kind, metric, help, value, project=name)
            for reason, count in stats.dropped.items():
                add(CounterMetricFamily, "events_dropped", "Events dropped.", count, project=name, reason=reason)
            for reason, count in counts.rejected.items():
                add(CounterMetricFamily, "rejected", "Spans and log records that are invalid.", count,
                    project=name, reason=reason)  # fmt: skip
        yield from families.values()
