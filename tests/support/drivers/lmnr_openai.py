"""Laminar on OpenAI's client."""

from __future__ import annotations

from tests.support.drivers._clients import openai_client
from tests.support.recorder import Source

REQUIRES = ("lmnr", "openai")
SOURCE = Source("lmnr", "openai", openai_client(), ("lmnr.opentelemetry_lib.opentelemetry.instrumentation.openai:OpenAIInstrumentor",))
