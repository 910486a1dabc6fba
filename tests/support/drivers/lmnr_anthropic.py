"""Laminar on Anthropic's client."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.support.drivers import SPANS
from tests.support.drivers._clients import anthropic_client
from tests.support.recorder import Source

REQUIRES = ("lmnr", "anthropic")


def begin() -> None:
    from lmnr import Laminar
    from lmnr.opentelemetry_lib import tracing

    # Nothing listens at the discard port.
    Laminar.initialize(project_api_key="test", base_url="http://127.0.0.1", http_port=9, grpc_port=9, force_http=True)
    provider: Any = tracing._tracer_provider
    provider.add_span_processor(SimpleSpanProcessor(SPANS))


SOURCE = Source("lmnr", "anthropic", anthropic_client(begin, without=("stream", "stream_tool", "stream_reasoning")))
