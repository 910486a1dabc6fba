"""OpenLIT on Anthropic's client."""

from __future__ import annotations

from tests.support.drivers._clients import anthropic_client
from tests.support.recorder import Source

REQUIRES = ("openlit", "anthropic")


def begin() -> None:
    import openlit

    openlit.init(disable_metrics=True)  # uses the global provider


SOURCE = Source("openlit", "anthropic", anthropic_client(begin))
