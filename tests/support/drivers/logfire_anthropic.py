"""Logfire's own instrumentation of Anthropic's client; the app has no span around the calls."""

from __future__ import annotations

from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.support.drivers import SPANS
from tests.support.drivers._clients import anthropic_client
from tests.support.recorder import Source

REQUIRES = ("logfire", "anthropic")


def begin() -> None:
    import logfire

    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[SimpleSpanProcessor(SPANS)])
    logfire.instrument_anthropic()


SOURCE = Source("logfire", "anthropic", anthropic_client(begin))
