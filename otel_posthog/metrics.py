"""The counters as OpenTelemetry metrics, under the names that the SDK's own exporters use.

Source: semantic conventions for OpenTelemetry SDK metrics
(https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/). Where no MeterProvider is set this costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Protocol
from weakref import ref

from opentelemetry.metrics import CallbackOptions, Observation, get_meter

from otel_posthog._version import __version__
from otel_posthog.delivery import Stats
from otel_posthog.settings import Settings

_COMPONENT_TYPE = "posthog_span_processor"
_numbers = count()  # of the processors of this process, for their names


class Observed(Protocol):
    """An exporter."""

    settings: Settings

    def stats(self) -> Stats: ...


Read = Callable[[Observed], "Iterable[tuple[float, str | None]]"]  # value and error.type


def observe(exporter: Observed) -> Callable[[str, float], None]:
    """Report an exporter for as long as it lives, to the MeterProvider of the process.

    Returns what is to be called with the answer and the seconds of each request.
    """
    meter = get_meter("otel_posthog", __version__)
    component = {
        "otel.component.type": _COMPONENT_TYPE,
        "otel.component.name": f"{_COMPONENT_TYPE}/{next(_numbers)}",
    }
    watched = ref(exporter)

    def reading(read: Read) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observations(options: CallbackOptions) -> Iterable[Observation]:
            found = watched()
            for value, error in read(found) if found is not None else ():
                yield Observation(value, component if error is None else {**component, "error.type": error})

        return observations

    meter.create_observable_counter(
        "otel.sdk.exporter.span.exported",
        [reading(_exported)],
        "{span}",
        "Events for which the export has finished; error.type says why some were not delivered",
    )
    meter.create_observable_up_down_counter(
        "otel.sdk.exporter.span.inflight",
        [reading(lambda e: [(e.stats().pending, None)])],
        "{span}",
        "Events that were handed over for export and have not finished",
    )
    meter.create_observable_up_down_counter(
        "otel.sdk.processor.span.queue.size",
        [reading(lambda e: [(e.stats().queued, None)])],
        "{span}",
        "Spans that wait in the queue",
    )
    meter.create_observable_up_down_counter(
        "otel.sdk.processor.span.queue.capacity",
        [reading(lambda e: [(e.settings.max_queue_size, None)])],
        "{span}",
        "Spans that the queue can hold",
    )
    duration = meter.create_histogram(
        "otel.sdk.exporter.operation.duration", "s", "Duration of a request to PostHog, without its retries"
    )

    def request(status: str, seconds: float) -> None:
        if status.isdecimal():
            attributes: dict[str, str | int] = {**component, "http.response.status_code": int(status)}
            if not status.startswith("2"):
                attributes["error.type"] = status
        else:
            attributes = {**component, "error.type": status}
        duration.record(seconds, attributes)

    return request


def _exported(exporter: Observed) -> Iterable[tuple[float, str | None]]:
    stats = exporter.stats()
    yield stats.delivered, None
    for reason, number in stats.dropped.items():
        yield number, reason
