"""What is compared: our exporter, OTLP over HTTP, and the floor, which sends events that are made already."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import orjson
import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan

from otel_posthog import PostHogSpanExporter
from tests.support.events import events_of

Send = Callable[[Sequence[ReadableSpan]], object]


def ours(url: str, compression: str) -> Send:
    """Map and deliver."""
    return PostHogSpanExporter("phc_bench", url, compression=compression).export


def otlp(url: str, compression: Compression) -> Send:
    """OTLP protobuf."""
    return OTLPSpanExporter(endpoint=f"{url}/v1/traces", compression=compression).export


def floor(url: str, spans: Sequence[ReadableSpan], compression: str) -> Send:
    """Dump events that were built before, gzip, one POST: what no exporter can do without."""
    built = {id(span): events_of([span])[0] for span in spans}
    session = requests.Session()

    def send(batch: Sequence[ReadableSpan]) -> None:
        body = orjson.dumps({"api_key": "phc_bench", "batch": [built[id(span)] for span in batch]})
        headers = {"Content-Type": "application/json"}
        if compression == "gzip":
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)
            body = packer.compress(body) + packer.flush()
            headers["Content-Encoding"] = "gzip"
        session.post(f"{url}/batch/", data=body, headers=headers, timeout=30).raise_for_status()

    return send


def senders(url: str, spans: Sequence[ReadableSpan]) -> dict[str, Send]:
    """All of them by name."""
    return {
        "otel_posthog": ours(url, "gzip"),
        "otel_posthog, no gzip": ours(url, "none"),
        "OTLP": otlp(url, Compression.NoCompression),
        "OTLP, gzip": otlp(url, Compression.Gzip),
        "floor": floor(url, spans, "gzip"),
        "floor, no gzip": floor(url, spans, "none"),
    }
