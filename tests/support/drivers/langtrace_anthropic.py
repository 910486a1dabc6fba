"""Langtrace on Anthropic's client."""

from __future__ import annotations

from tests.support.drivers._clients import anthropic_client
from tests.support.recorder import Source

REQUIRES = ("langtrace-python-sdk", "anthropic")
SOURCE = Source(
    "langtrace-python-sdk",
    "anthropic",
    anthropic_client(without=("stream_helper",)),
    ("langtrace_python_sdk.instrumentation:AnthropicInstrumentation",),
)
