"""Encoded events to deliver, and a Delivery over a fake transport and a fake clock."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import orjson

from otel_posthog import Settings
from otel_posthog.delivery import Delivery, EncodedEvent, Ledger, Receipt, Request, Response, encode
from otel_posthog.delivery.attempts import Shrink
from otel_posthog.events import Event

KEY = "phc_aKeyThatMustNotShow"
CONTENT = "content that must not show"


def made_event(**properties: Any) -> Event:
    """An event that PostHog takes."""
    return Event("$ai_generation", str(uuid4()), "ada", "2026-11-24T03:00:00.123456Z", {"text": CONTENT} | properties)


def encoded(n: int = 1) -> list[EncodedEvent]:
    """``n`` events that PostHog takes."""
    return [encode(made_event(number=number)) for number in range(n)]


def encoded_of_size(size: int) -> EncodedEvent:
    """An event of exactly ``size`` bytes."""
    empty = len(encode(made_event(text="")).body)
    return encode(made_event(text="x" * (size - empty)))


def nameless() -> EncodedEvent:
    """An event that PostHog refuses with 400, and its whole request with it."""
    return encode(replace(made_event(), name=""))


def uuids(events: Sequence[EncodedEvent]) -> list[str]:
    """The uuids of encoded events."""
    return [event.uuid for event in events]


def properties_of(event: EncodedEvent) -> dict[str, Any]:
    """The properties as a JSON parser reads them."""
    return orjson.loads(event.body)["properties"]


class FakeClock:
    """Time passes only while something waits. Starts no threads: whoever waits for events sends them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.unix = 1_795_489_200.0  # 2026-11-24T03:00:00Z

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.unix

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        assert timeout is not None, "nothing would ever end this wait"
        self.sleep(timeout)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.unix += seconds

    def start(self, run: Callable[[], None]) -> threading.Thread | None:
        return None


@dataclass(frozen=True)
class Sent:
    """A request as the fake transport got it; ``moment`` is the fake clock's."""

    request: Request
    moment: float

    @property
    def path(self) -> str:
        return "/" + self.request.url.split("/", 3)[3]

    @property
    def headers(self) -> Mapping[str, str]:
        return self.request.headers

    @property
    def body(self) -> bytes:
        is_gzip = self.request.headers.get("Content-Encoding") == "gzip"
        return gzip.decompress(self.request.body) if is_gzip else self.request.body

    @property
    def document(self) -> dict[str, Any]:
        return orjson.loads(self.body)

    @property
    def uuids(self) -> list[str]:
        document = self.document
        return [event["uuid"] for event in document.get("batch", [document])]


def ok(sent: Sent | None = None) -> Response:
    """PostHog's answer to what it takes; version 1 for a request of it."""
    if sent is not None and sent.path.startswith("/i/v1/"):
        return results(sent)
    return Response(200, {}, b'{"status":"Ok"}')


def results(sent: Sent, result: Any = "ok", **others: Any) -> Response:
    """An answer of version 1: a result for each event, ``others`` by uuid."""
    answer = {uuid: {"result": others.get(uuid, result)} for uuid in sent.uuids}
    return Response(200, {}, orjson.dumps({"results": answer}))


def status(code: int, body: bytes = b"", **headers: str) -> Response:
    """An answer with headers such as ``Retry_After="7"``."""
    return Response(code, {name.replace("_", "-"): value for name, value in headers.items()}, body)


Answer = Callable[[Sent], Response]


@dataclass
class FakeTransport:
    """Answers by a function, which may raise; keeps what was sent and what was taken (answered with success)."""

    clock: FakeClock
    answer: Answer = ok
    seconds: float = 0.0  # that each request takes
    sent: list[Sent] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)  # uuids

    def send(self, request: Request) -> Response:
        sent = Sent(request, self.clock.now)
        self.sent.append(sent)
        self.clock.sleep(self.seconds)
        response = self.answer(sent)
        if response.status == 200:
            self.taken += sent.uuids
        return response

    @property
    def paths(self) -> list[str]:
        return [sent.path for sent in self.sent]


def first(times: int, answer: Response | Exception, then: Answer = ok) -> Answer:
    """The same answer, or error, to the first requests, and then others."""
    left = [times]

    def answering(sent: Sent) -> Response:
        left[0] -= 1
        if left[0] < 0:
            return then(sent)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return answering


def always(answer: Response | Exception) -> Answer:
    """The same answer, or error, to every request."""
    return first(10**9, answer)


class CountedDelivery(Delivery):
    """Counts what is put as accepted, as the collector does."""

    def __init__(self, settings: Settings, ledger: Ledger, shrink: Shrink | None = None, **seams: Any) -> None:
        super().__init__(settings, ledger, shrink, **seams)
        self.ledger = ledger

    def put(self, events: Sequence[EncodedEvent]) -> Receipt:
        self.ledger.accepted(len(events))
        return super().put(events)


@dataclass
class Post:
    """A Delivery, with what it sends and counts."""

    delivery: Delivery
    ledger: Ledger
    transport: FakeTransport
    clock: FakeClock

    def send(self, events: Sequence[EncodedEvent], timeout: float = 60.0) -> bool:
        """Put events and wait for them."""
        return self.delivery.put(events).wait(timeout)

    @property
    def stats(self) -> Any:
        return self.delivery.stats()


def make_post(
    answer: Answer = ok, *, clock: FakeClock | None = None, shrink: Shrink | None = None,
    host: str = "https://posthog.example", **options: Any,
) -> Post:  # fmt: skip
    """A Delivery that nothing leaves."""
    clock = clock or FakeClock()
    transport = FakeTransport(clock, answer)
    settings = Settings.load({}, **{"api_key": KEY, "host": host, **options})
    ledger = Ledger(settings.on_drop, monotonic=clock.monotonic)
    return Post(
        CountedDelivery(settings, ledger, shrink=shrink, transport=transport, clock=clock), ledger, transport, clock
    )
