"""Anthropic's client, which traces itself."""

from __future__ import annotations

from tests.support.drivers._clients import anthropic_client
from tests.support.recorder import Source

REQUIRES = ("anthropic",)
SOURCE = Source("anthropic", "anthropic", anthropic_client())
