"""Logfire's own instrumentation of OpenAI's client; the app has no span around the calls."""

from __future__ import annotations

from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.support.drivers import SPANS
from tests.support.drivers._clients import openai_client
from tests.support.recorder import Source

REQUIRES = ("logfire", "openai")


def begin() -> None:
    import logfire

    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[SimpleSpanProcessor(SPANS)])
    logfire.instrument_openai()


SOURCE = Source("logfire", "openai", openai_client(begin))
