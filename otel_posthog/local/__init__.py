"""A PostHog for this machine: capture endpoints that enforce the real contract, and a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_posthog.local.server import LocalPostHog

__all__ = ["LocalPostHog"]


def __getattr__(name: str) -> Any:
    """Import the server only when it is asked for: the contract alone needs no extra."""
    if name == "LocalPostHog":
        from otel_posthog.local.server import LocalPostHog

        return LocalPostHog
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
