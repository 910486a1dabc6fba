"""Events -> PostHog. Knows nothing about spans."""

from otel_posthog.delivery.batches import Encoded as EncodedEvent
from otel_posthog.delivery.batches import encode
from otel_posthog.delivery.ledger import Ledger, Stats
from otel_posthog.delivery.queue import Delivery

__all__ = ["Delivery", "EncodedEvent", "Ledger", "Stats", "encode"]
