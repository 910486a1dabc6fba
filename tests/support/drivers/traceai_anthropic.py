"""Future AGI's traceAI on Anthropic's client."""

from __future__ import annotations

from tests.support.drivers._clients import anthropic_client
from tests.support.recorder import Source

REQUIRES = ("traceAI-anthropic", "anthropic")
SOURCE = Source("traceAI-anthropic", "anthropic", anthropic_client(), ("traceai_anthropic:AnthropicInstrumentor",))
