"""Events -> PostHog. Knows nothing about spans."""

from otel_posthog.delivery.batches import Encoded, encode
from otel_posthog.delivery.client import CaptureClient
from otel_posthog.delivery.ledger import Ledger, Stats

__all__ = ["CaptureClient", "Encoded", "Ledger", "Stats", "encode"]
