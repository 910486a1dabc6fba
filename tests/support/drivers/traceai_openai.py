"""Future AGI's traceAI on OpenAI's client."""

from __future__ import annotations

from tests.support.drivers._clients import openai_client
from tests.support.recorder import Source

REQUIRES = ("traceAI-openai", "openai")
SOURCE = Source("traceAI-openai", "openai", openai_client(), ("traceai_openai:OpenAIInstrumentor",))
