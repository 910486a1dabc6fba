"""Laminar on Anthropic's client."""

from __future__ import annotations

from tests.support.drivers._clients import anthropic_client
from tests.support.recorder import Source

REQUIRES = ("lmnr", "anthropic")
SOURCE = Source("lmnr", "anthropic", anthropic_client(), ("lmnr.opentelemetry_lib.opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",))
