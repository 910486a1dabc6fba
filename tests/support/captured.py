"""Encoded events to deliver, and what is needed to send them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import orjson

from otel_posthog.delivery import CaptureClient, Encoded, Ledger, Stats, encode
from otel_posthog.events import Event

KEY = "phc_aKeyThatMustNotShow"
CONTENT = "content that must not show"


def made_event(**properties: Any) -> Event:
    """An event that PostHog takes."""
    return Event("$ai_generation", str(uuid4()), "ada", "2026-11-24T03:00:00.123456Z", {"text": CONTENT} | properties)


def encoded(n: int = 1) -> list[Encoded]:
    """``n`` events that PostHog takes."""
    return [encode(made_event(number=number)) for number in range(n)]


def encoded_of_size(size: int) -> Encoded:
    """An event of exactly ``size`` bytes."""
    empty = len(encode(made_event(text="")).body)
    return encode(made_event(text="x" * (size - empty)))


def nameless() -> Encoded:
    """An event that PostHog refuses with 400, and its whole request with it."""
    event = made_event()
    event.name = ""
    return encode(event)


class Delivery:
    """A capture client and its ledger."""

    def __init__(self, client: CaptureClient, ledger: Ledger) -> None:
        self.client = client
        self._ledger = ledger

    def send(self, events: list[Encoded], timeout: float | None = None) -> bool:
        return self.client.send(events, timeout)

    @property
    def stats(self) -> Stats:
        return self._ledger.stats()


def uuids(events: list[Encoded]) -> list[str]:
    """The uuids of encoded events."""
    return [event.uuid for event in events]


def properties_of(event: Encoded) -> dict[str, Any]:
    """The properties as a JSON parser reads them."""
    return orjson.loads(event.body)["properties"]
