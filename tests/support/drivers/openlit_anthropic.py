"""OpenLIT on Anthropic's client."""

from __future__ import annotations

from opentelemetry import trace

from tests.support.drivers._clients import anthropic_client
from tests.support.recorder import Source

REQUIRES = ("openlit", "anthropic")


def begin() -> None:
    import openlit

    openlit.init(tracer=trace.get_tracer("openlit"), disable_metrics=True)


SOURCE = Source("openlit", "anthropic", anthropic_client(begin))
