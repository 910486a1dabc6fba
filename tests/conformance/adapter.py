"""The HTTP service by which PostHog's conformance suite for SDKs drives our delivery.

The suite (https://github.com/PostHog/posthog-sdk-test-harness) knows events, not spans, so it is given what is below
the mapping: events are encoded, batched, sent and retried by the package. Run by hand, once for each contract (v0, v1,
v1-zstd); its tests of feature flags are about something else::

    python -m tests.conformance.adapter v0 8080
    posthog-test-harness run --adapter-url http://127.0.0.1:8080 --sdk-type server
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from unittest import mock
from uuid import uuid4

import orjson
import requests
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from otel_posthog import Settings
from otel_posthog._version import __version__
from otel_posthog.delivery import CaptureClient, Encoded, Ledger, encode
from otel_posthog.delivery import endpoints as endpoints_module
from otel_posthog.events import Event

CAPABILITIES = {
    "v0": ["capture_v0", "capture_ai_v0", "encoding_gzip"],
    "v1": ["capture_v1", "encoding_gzip"],
    "v1-zstd": ["capture_v1", "encoding_zstd"],
}
# The suite asks for the analytics endpoint alone.
CHAIN = (endpoints_module._V1,)


class Recording(requests.Session):
    """Notes each request for the suite."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[dict[str, Any]] = []

    def post(self, *arguments: Any, **named: Any) -> requests.Response:
        response = super().post(*arguments, **named)
        self.made.append({"timestamp_ms": int(time.time() * 1000), "status_code": response.status_code})
        return response


@dataclass
class Sdk:
    """One configured SDK: a client for each endpoint, and what waits for it."""

    version: int
    clients: dict[str, CaptureClient]
    ledger: Ledger
    session: Recording
    flush_at: int
    interval: float
    properties: dict[str, Any]
    waiting: dict[str, list[Encoded]] = field(default_factory=dict)
    captured: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    sending: threading.Lock = field(default_factory=threading.Lock)
    closed: threading.Event = field(default_factory=threading.Event)

    def capture(self, to: str, given: dict[str, Any]) -> str:
        """Queue an event; its uuid."""
        properties = {**self.properties, "$lib": "otel-posthog", "$lib_version": __version__, **given["properties"]}
        properties |= {f"${name}": value for name, value in given["options"].items()}
        if "$disable_skew_correction" in properties:
            properties["$ignore_sent_at"] = properties.pop("$disable_skew_correction")
        event = Event(given["event"], given["uuid"], given["distinct_id"], given["timestamp"], properties)
        with self.lock:
            self.captured += 1
            self.waiting.setdefault(to, []).append(encode(event, self.version))
            is_full = sum(map(len, self.waiting.values())) >= self.flush_at
        if is_full:
            threading.Thread(target=self.flush, daemon=True).start()
        return str(event.uuid)

    def flush(self) -> int:
        """Send what waits; how many events that were."""
        with self.sending:
            with self.lock:
                taken, self.waiting = self.waiting, {}
            for to, events in taken.items():
                self.clients[to].send(events, timeout=60)
            return sum(map(len, taken.values()))

    def flush_now_and_then(self) -> None:
        """What an SDK's timer does."""
        while not self.closed.wait(self.interval):
            self.flush()


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
        ledger, session = Ledger(), Recording()
        common = {
            "api_key": given["api_key"],
            "host": given["host"],
            "session": session,
            "compression": self.compression if given.get("enable_compression") else "none",
            "historical_migration": bool(given.get("historical_migration")),
            "max_retries": given.get("max_retries"),
        }
        chains = {"batch": "batch", "ai": "ai"} if self.contract == "v0" else {"batch": "v1"}
        with mock.patch.dict(endpoints_module.CHAINS, {"v1": CHAIN}):
            clients = {
                to: CaptureClient(Settings.load({}, endpoint=name, **common), ledger) for to, name in chains.items()
            }
        properties = {"$geoip_disable": True} if given.get("disable_geoip") else {}
        interval = given.get("flush_interval_ms", 500) / 1000
        version = int(self.contract != "v0")
        return Sdk(version, clients, ledger, session, given.get("flush_at", 100), interval, properties)

    async def init(self, request: Request) -> JSONResponse:
        """Configure."""
        self._close()
        self.sdk = self._made(orjson.loads(await request.body()))
        threading.Thread(target=self.sdk.flush_now_and_then, daemon=True).start()
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
                "pending_events": sum(map(len, sdk.waiting.values())) + stats.pending,
                "total_events_captured": sdk.captured,
                "total_events_sent": stats.delivered,
                "total_retries": stats.retries,
                "last_error": next(iter(stats.dropped), None),
                "requests_made": sdk.session.made,
            }
        )

    async def reset(self, request: Request) -> JSONResponse:
        """Forget everything."""
        self._close()
        return JSONResponse({"success": True})

    def _close(self) -> None:
        if self.sdk is not None:
            self.sdk.closed.set()
            for client in self.sdk.clients.values():
                client.close()
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
