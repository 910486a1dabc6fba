"""Langtrace on OpenAI's client."""

from __future__ import annotations

from tests.support.drivers._clients import openai_client
from tests.support.recorder import Source

REQUIRES = ("langtrace-python-sdk", "openai")
SOURCE = Source(
    "langtrace-python-sdk", "openai", openai_client(), ("langtrace_python_sdk.instrumentation:OpenAIInstrumentation",)
)
