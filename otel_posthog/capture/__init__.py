"""Events -> PostHog. Knows nothing about spans."""

from otel_posthog.capture.batches import Encoded, encode
from otel_posthog.capture.client import CaptureClient
from otel_posthog.capture.ledger import Ledger, Stats

__all__ = ["CaptureClient", "Encoded", "Ledger", "Stats", "encode"]
