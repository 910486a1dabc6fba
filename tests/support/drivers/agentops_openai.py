"""AgentOps on OpenAI's client."""

from __future__ import annotations

from tests.support.drivers._clients import openai_client
from tests.support.recorder import Source

REQUIRES = ("agentops", "openai")
SOURCE = Source(
    "agentops",
    "openai",
    openai_client(),
    ("agentops.instrumentation.providers.openai.instrumentor:OpenaiInstrumentor",),
)
