"""Events -> PostHog. Knows nothing about spans."""

from otel_posthog.delivery.clock import Clock
from otel_posthog.delivery.delivery import Delivery, Receipt
from otel_posthog.delivery.encoding import EncodedEvent, encode
from otel_posthog.delivery.stats import Ledger, Stats
from otel_posthog.delivery.transport import Request, Response, Transport, TransportError

__all__ = [
    "Clock",
    "Delivery",
    "EncodedEvent",
    "Ledger",
    "Receipt",
    "Request",
    "Response",
    "Stats",
    "Transport",
    "TransportError",
    "encode",
]
