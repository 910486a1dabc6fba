"""CaptureClient: sends encoded events until PostHog has answered for each, or the time is up."""

from __future__ import annotations

import os
import threading
import time
import zlib
from collections.abc import Sequence
from datetime import datetime, timezone

import requests

from otel_posthog._version import __version__
from otel_posthog.capture.batches import Encoded, batches
from otel_posthog.capture.endpoints import BODY_LIMIT, ENDPOINTS, ENVELOPE
from otel_posthog.capture.ledger import Ledger
from otel_posthog.capture.outcome import Outcome, outcome_of, outcome_of_error
from otel_posthog.capture.retry import delay_before
from otel_posthog.settings import Settings

# Level 9 costs eleven times level 1 for a fifth fewer bytes on long prompts (benchmarks/README.md).
_GZIP_LEVEL = 1
_CONNECT_TIMEOUT = 5.0  # seconds
_SHORTEST_TRY = 1.0  # seconds
_MOST_ANSWER = 4096  # bytes of an answer that are looked at; PostHog's have some 20
# Requests that one export may spend on finding the events that PostHog refuses in a batch.
_ISOLATION_REQUESTS = 64


class CaptureClient:
    """Delivers events to one PostHog project. Thread-safe; :meth:`send` blocks, so call it off the app's threads."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._endpoint = ENDPOINTS[settings.endpoint]
        self._url = settings.host + self._endpoint.path
        self._stop = threading.Event()
        self._session: requests.Session | None = None
        self._session_pid = 0
        self._lock = threading.Lock()

    def send(self, events: Sequence[Encoded], timeout: float | None = None) -> bool:
        """Deliver events; ``True`` if PostHog took them all. ``timeout`` in seconds covers retries too."""
        deadline = time.monotonic() + (self._settings.timeout if timeout is None else timeout)
        self._ledger.accepted(len(events))
        limit = self._endpoint.max_event_bytes
        fitting = [event for event in events if len(event.body) <= limit]
        for event in events:
            if len(event.body) > limit:
                detail = f"{event.name} {event.uuid} has {len(event.body):,} bytes, and PostHog takes {limit:,}"
                self._ledger.dropped(1, "event_too_large", detail)
        complete = len(fitting) == len(events)
        most = min(self._settings.max_batch_bytes, BODY_LIMIT) - ENVELOPE
        work = list(batches(fitting, self._endpoint.max_events or self._settings.max_batch_events, most))
        work.reverse()
        isolation = _ISOLATION_REQUESTS
        while work:
            batch = work.pop()
            outcome = self._deliver(batch, deadline)
            if outcome.kind == "delivered":
                self._ledger.delivered(len(batch))
            elif outcome.kind in ("too_large", "invalid") and len(batch) > 1 and isolation > 0:
                # One event can refuse its whole batch: halve until the offender is alone.
                isolation -= 1
                middle = len(batch) // 2
                work += (batch[middle:], batch[:middle])
            else:
                complete = False
                self._ledger.dropped(len(batch), outcome.reason, self._described(batch, outcome))
        return complete

    def close(self) -> None:
        """Stop waiting for retries and close the connections."""
        self._stop.set()
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def _described(self, batch: Sequence[Encoded], outcome: Outcome) -> str:
        if len(batch) == 1 and outcome.kind in ("too_large", "invalid"):
            return f"{outcome.detail} ({batch[0].name} {batch[0].uuid}, {len(batch[0].body):,} bytes)"
        return outcome.detail

    def _deliver(self, batch: Sequence[Encoded], deadline: float) -> Outcome:
        """One batch, with retries while there is time."""
        attempt = 0
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return Outcome("refused", "timeout", "there was no time left to send them")
            outcome = self._post(batch, remaining, retry=attempt > 0)
            if outcome.kind != "retry":
                return outcome
            attempt += 1
            delay = delay_before(attempt, outcome.retry_after)
            if time.monotonic() + delay >= deadline or self._stop.wait(delay):
                tries = "try" if attempt == 1 else "tries"
                return Outcome("refused", outcome.reason, f"{outcome.detail}, after {attempt} {tries}")

    def _post(self, batch: Sequence[Encoded], remaining: float, retry: bool) -> Outcome:
        # sent_at is of this attempt: the server takes the difference to its own clock for clock skew.
        sent_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = self._endpoint.body(self._settings.api_key, batch, sent_at)
        headers = {"Content-Type": "application/json", "User-Agent": f"otel-posthog/{__version__}"}
        if self._settings.compression == "gzip":
            packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)
            body = packer.compress(body) + packer.flush()
            headers["Content-Encoding"] = "gzip"
        # Half of the time for one try, so that an answer that does not come can be asked for again.
        patience = min(remaining, max(_SHORTEST_TRY, self._settings.timeout / 2))
        deadline = time.monotonic() + patience
        try:
            with self._open_session().post(
                self._url,
                data=body,
                headers=headers,
                timeout=(min(_CONNECT_TIMEOUT, patience), patience),
                allow_redirects=False,
                stream=True,
            ) as response:
                outcome = outcome_of(response, _read(response, deadline))
        except Exception as error:
            outcome = outcome_of_error(error)
            self._ledger.request(outcome.reason, len(body), retry)
            return outcome
        self._ledger.request(str(response.status_code), len(body), retry)
        return outcome

    def _open_session(self) -> requests.Session:
        """The pooled session of this process: a forked child must not write into its parent's connections."""
        with self._lock:
            if self._session is None or self._session_pid != os.getpid():
                self._session, self._session_pid = requests.Session(), os.getpid()
            return self._session


def _read(response: requests.Response, deadline: float) -> bytes:
    """An answer's body. Byte by byte, since a read of more waits for all of them, and a time-out is for each wait."""
    body = bytearray()
    for byte in response.iter_content(1):
        body += byte
        if len(body) >= _MOST_ANSWER:
            break
        if time.monotonic() > deadline:
            raise requests.Timeout
    return bytes(body)
