"""The HTTP service by which PostHog's conformance suite for SDKs drives our delivery.

The suite (https://github.com/PostHog/posthog-sdk-test-harness) knows events, not spans, so it is given what is below
the mapping: events are encoded, batched, sent and retried by the package. Run by hand, once for each contract (v0, v1,
v1-zstd); its tests of feature flags are about something else::

    python -m tests.conformance.adapter v0 8080
    posthog-test-harness run --adapter-url http://127.0.0.1:8080 --sdk-type server
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from unittest import mock
from uuid import uuid4

import orjson
import uvicorn
from opentelemetry.context import Context
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from otel_posthog import Settings
from otel_posthog._collector import Collector
from otel_posthog._pipeline import Pipeline, Result
from otel_posthog._trace import Batch, EvaluationRecord
from otel_posthog._version import __version__
from otel_posthog.delivery import Delivery, EncodedEvent, Ledger
from otel_posthog.delivery.protocols import protocols
from otel_posthog.events import Event

CAPABILITIES = {
    "v0": ["capture_v0", "capture_ai_v0", "encoding_gzip"],
    "v1": ["capture_v1", "encoding_gzip"],
    "v1-zstd": ["capture_v1", "encoding_zstd"],
}


def analytics_alone(endpoint: str, **options: Any) -> Any:
    """The suite asks for the analytics endpoint of version 1 alone."""
    return protocols(endpoint, **options)[-1:]


class PassThrough(Pipeline):
    """The suite's events are no spans: they ride through the collector as records, and leave as they came."""

    def __init__(self, settings: Settings, encode: Callable[[Event], EncodedEvent]) -> None:
        super().__init__(settings, encode)
        self._encode_event = encode

    def run(self, batch: Batch, memory: Any) -> Result:
        return Result([self._encode_event(record.attributes["event"]) for record in batch.evaluations])


class Sink:
    """The product's own queue, timers and connections for one endpoint."""

    def __init__(self, settings: Settings, ledger: Ledger, flush_at: int, interval: float) -> None:
        self.delivery = Delivery(settings, ledger)
        pipeline = PassThrough(settings, self.delivery.encode)
        self.collector = Collector(settings, pipeline, self.delivery, ledger, delay=interval, batch_size=flush_at)

    def capture(self, event: Event) -> None:
        """Queue an event, a trace of its own."""
        attributes = {"event": event}
        record = EvaluationRecord(event.uuid, event.name, attributes, uuid4().hex, "", time.time_ns())
        self.collector.evaluated(record, Context())

    def flush(self) -> None:
        """Send what waits."""
        self.collector.flush(8)
        self.delivery.flush(8)

    def close(self) -> None:
        """Stop, without a wait for what the suite has left."""
        self.collector.stop(1)
        self.delivery.shutdown(0)


@dataclass
class Sdk:
    """One configured SDK: a sink for each endpoint."""

    sinks: dict[str, Sink]
    ledger: Ledger
    properties: dict[str, Any]
    made: list[dict[str, Any]]  # requests
    captured: int = 0

    def capture(self, to: str, given: dict[str, Any]) -> str:
        """Queue an event; its uuid."""
        properties = {**self.properties, "$lib": "otel-posthog", "$lib_version": __version__, **given["properties"]}
        properties |= {f"${name}": value for name, value in given["options"].items()}
        if "$disable_skew_correction" in properties:
            properties["$ignore_sent_at"] = properties.pop("$disable_skew_correction")
        self.captured += 1
        self.sinks[to].capture(
            Event(given["event"], given["uuid"], given["distinct_id"], given["timestamp"], properties)
        )
        return str(given["uuid"])

    def flush(self) -> int:
        """Send what waits; how many events were sent."""
        before = self.ledger.stats().delivered
        for sink in self.sinks.values():
            sink.flush()
        return self.ledger.stats().delivered - before


class Adapter:
    """The routes."""

    def __init__(self, contract: str) -> None:
        self.contract = contract
        self.compression = "zstd" if contract == "v1-zstd" else "gzip"
        self.sdk: Sdk | None = None

    async def health(self, request: Request) -> JSONResponse:
        """Who this is and what it can."""
        return JSONResponse(
            {
                "sdk_name": "otel-posthog",
                "sdk_version": __version__,
                "adapter_version": __version__,
                "capabilities": CAPABILITIES[self.contract],
            }
        )

    def _made(self, given: dict[str, Any]) -> Sdk:
        made: list[dict[str, Any]] = []

        def on_request(status: str, seconds: float) -> None:
            code = int(status) if status.isdecimal() else 0
            made.append({"timestamp_ms": int(time.time() * 1000), "status_code": code})

        ledger = Ledger(on_request=on_request)
        common = {
            "api_key": given["api_key"],
            "host": given["host"],
            "compression": self.compression if given.get("enable_compression") else "none",
            "historical_migration": bool(given.get("historical_migration")),
            "max_retries": given.get("max_retries"),
            "hold": 0,
            "hints": False,
        }
        endpoints = {"batch": "batch", "ai": "ai"} if self.contract == "v0" else {"batch": "v1"}
        flush_at, interval = given.get("flush_at", 100), given.get("flush_interval_ms", 500) / 1000
        with mock.patch("otel_posthog.delivery.channel.protocols", analytics_alone):
            sinks = {
                to: Sink(Settings.load({}, **{"endpoint": endpoint, **common}), ledger, flush_at, interval)
                for to, endpoint in endpoints.items()
            }
        properties = {"$geoip_disable": True} if given.get("disable_geoip") else {}
        return Sdk(sinks, ledger, properties, made)

    async def init(self, request: Request) -> JSONResponse:
        """Configure."""
        self._close()
        self.sdk = self._made(orjson.loads(await request.body()))
        return JSONResponse({"success": True})

    async def capture(self, request: Request) -> JSONResponse:
        """Capture, on the AI endpoint or the other."""
        body = orjson.loads(await request.body())
        to = "ai" if request.url.path == "/capture_ai" else "batch"
        given = {
            "event": body["event"],
            "uuid": body.get("uuid") or str(uuid4()),
            "distinct_id": body["distinct_id"],
            "timestamp": _utc(body.get("timestamp")),
            "properties": body.get("properties") or {},
            "options": body.get("options") or {},
        }
        assert self.sdk is not None
        return JSONResponse({"success": True, "uuid": self.sdk.capture(to, given)})

    def flush(self, request: Request) -> JSONResponse:
        """Blocks, so Starlette runs it in a thread."""
        return JSONResponse({"success": True, "events_flushed": self.sdk.flush() if self.sdk else 0})

    async def state(self, request: Request) -> JSONResponse:
        """The counters."""
        sdk = self.sdk
        if sdk is None:
            return JSONResponse({})
        stats = sdk.ledger.stats()
        return JSONResponse(
            {
                "pending_events": stats.pending + sum(sink.collector.queued for sink in sdk.sinks.values()),
                "total_events_captured": sdk.captured,
                "total_events_sent": stats.delivered,
                "total_retries": stats.retries,
                "last_error": next(iter(stats.dropped), None),
                "requests_made": sdk.made,
            }
        )

    async def reset(self, request: Request) -> JSONResponse:
        """Forget everything."""
        self._close()
        return JSONResponse({"success": True})

    def _close(self) -> None:
        if self.sdk is not None:
            for sink in self.sdk.sinks.values():
                with contextlib.suppress(Exception):
                    sink.close()
        self.sdk = None


def _utc(given: str | None) -> str:
    moment = datetime.fromisoformat(given.replace("Z", "+00:00")) if given else datetime.now(timezone.utc)
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def main(contract: str, port: int) -> None:
    """Serve."""
    adapter = Adapter(contract)
    routes = [
        Route("/health", adapter.health),
        Route("/init", adapter.init, methods=["POST"]),
        Route("/capture", adapter.capture, methods=["POST"]),
        Route("/capture_ai", adapter.capture, methods=["POST"]),
        Route("/flush", adapter.flush, methods=["POST"]),
        Route("/state", adapter.state),
        Route("/reset", adapter.reset, methods=["POST"]),
    ]
    uvicorn.run(Starlette(routes=routes), port=port, log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
