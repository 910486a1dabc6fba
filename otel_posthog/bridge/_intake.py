"""The intake: one thread that decodes requests, runs the trace windows and says when a request is safe.

A request is answered 200 once its events are delivered. With a ``spool_dir`` it is enough that they are on disk; what
has to wait in the trace window is then written to a journal and answered at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from opentelemetry.context import attach, set_value

from otel_posthog.bridge._bodies import DECODERS, TooLargeError, decompress
from otel_posthog.bridge._journal import JournaledRequest, RequestJournal
from otel_posthog.bridge._project import Project
from otel_posthog.bridge._ticket import TOO_BUSY, Answer, Signal, Ticket
from otel_posthog.bridge._values import Decoded, UndecodableError

logger = logging.getLogger("otel_posthog")

_MOST_AT_ONCE = 64  # requests that are decoded before the windows are looked at


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came. ``encoding`` is its ``Content-Encoding``."""

    project: Project
    signal: Signal
    is_json: bool
    body: bytes
    encoding: str = ""

    @property
    def kind(self) -> str:
        """The decoder's name."""
        return f"{self.signal}.{'json' if self.is_json else 'proto'}"


class Intake:
    """Takes requests of all projects. Thread-safe.

    Args:
        projects: those that requests may be for.
        max_body_bytes: of one request, decompressed.
        max_held_bytes: of all requests that are neither delivered nor on disk.
        answer_within: seconds after which a sender is asked to try again; ``None``: it waits as long as it takes.
        journal: where requests in the trace window are kept; ``None``: they are answered later.
    """

    def __init__(
        self,
        projects: Iterable[Project],
        *,
        max_body_bytes: int = 20 * 1024 * 1024,
        max_held_bytes: int = 64 * 1024 * 1024,
        answer_within: float | None = 4.0,
        journal: RequestJournal | None = None,
    ) -> None:
        self.projects = {project.fingerprint: project for project in projects}
        self.max_body_bytes = max_body_bytes
        self._max_held, self._answer_within, self._journal = max_held_bytes, answer_within, journal
        self._queue: SimpleQueue[tuple[Request, Ticket] | list[Ticket] | None] = SimpleQueue()
        self._held = 0
        self._holding = threading.Lock()
        self._open: dict[Ticket, None] = {}  # not delivered yet
        self._deadlines: deque[Ticket] = deque()  # of those with one, in order
        self._flushing = self._stopping = False
        self._thread = threading.Thread(target=self._run, name="otel-posthog-intake", daemon=True)

    def start(self) -> None:
        """Begin, with what earlier processes had accepted."""
        for recovered in self._journal.recover() if self._journal is not None else ():
            self._resubmit(recovered)
        self._thread.start()

    def admit(self, size: int) -> bool:
        """Reserve memory for part of a body; ``False`` if the sender should try again later."""
        with self._holding:
            if self._held + size > self._max_held and self._held:
                return False
            self._held += size
        return True

    def reserve(self, size: int) -> None:
        """As :meth:`admit`, beyond the bound if it must be."""
        with self._holding:
            self._held += size

    @property
    def is_full(self) -> bool:
        """Whether no memory is left."""
        return self._held >= self._max_held

    def release(self, size: int) -> None:
        """Free what was reserved."""
        with self._holding:
            self._held -= size

    def submit(self, request: Request) -> Ticket:
        """Take a request whose size has been admitted; the ticket's future has the answer."""
        now = time.monotonic()
        deadline = None if self._answer_within is None else now + self._answer_within
        ticket = Ticket(request.signal, len(request.body), deadline)
        if self._stopping or request.project.is_full:
            self.release(ticket.size)
            ticket.resolve(TOO_BUSY)
        else:
            self._queue.put((request, ticket))
        return ticket

    def flush(self) -> None:
        """Close the trace windows once, behind what was submitted before."""
        self._queue.put(None)

    def hurry(self) -> None:
        """Close the trace windows from now on as soon as anything is in them: the process is about to end."""
        self._flushing = True
        self.flush()

    def close(self, timeout: float) -> bool:
        """Deliver or spool everything within ``timeout`` seconds; ``True`` if nothing is lost."""
        deadline = time.monotonic() + timeout
        self._flushing = self._stopping = True
        self.flush()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        is_safe = True
        for project in self.projects.values():
            arrived = project.delivery.shutdown(max(0.1, deadline - time.monotonic()))
            is_safe = is_safe and (arrived or project.is_durable)
        for ticket in self._open:
            ticket.resolve(TOO_BUSY)
        if self._journal is not None:
            self._journal.close()
        return is_safe

    @property
    def held_bytes(self) -> int:
        """Bytes of the requests that are neither delivered nor on disk."""
        return self._held

    @property
    def is_alive(self) -> bool:
        """Whether requests are handled."""
        return self._thread.is_alive() and not self._flushing

    # In the intake's thread.

    def _run(self) -> None:
        # The key that HTTP instrumentations honour: our own requests must not become spans.
        attach(set_value("suppress_instrumentation", True))
        while not (self._stopping and self._queue.empty()):
            everything = self._flushing
            for item in self._next():
                if item is None:
                    everything = True
                    continue
                if isinstance(item, list):
                    self._settle(item)
                    continue
                try:
                    self._take(*item)
                except Exception as error:
                    logger.error("a request could not be handled: %s", type(error).__name__)
                    self._finish(item[1], Answer(500, "internal error"))
            now = time.monotonic()
            for project in self.projects.values():
                try:
                    self._export_ready(project, now, everything)
                except Exception as error:
                    logger.error("spans could not be exported: %s", type(error).__name__)
            self._expire(now)

    def _next(self) -> list[tuple[Request, Ticket] | list[Ticket] | None]:
        """What has come; waits for it until something else is due."""
        found: list[tuple[Request, Ticket] | list[Ticket] | None] = []
        try:
            found.append(self._queue.get(timeout=self._patience()))
            while len(found) < _MOST_AT_ONCE:
                found.append(self._queue.get_nowait())
        except Empty:
            pass
        return found

    def _patience(self) -> float | None:
        deadlines = [d for project in self.projects.values() if (d := project.window.next_deadline) is not None]
        if self._deadlines and self._deadlines[0].deadline is not None:
            deadlines.append(self._deadlines[0].deadline)
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _take(self, request: Request, ticket: Ticket) -> None:
        try:
            body = decompress(request.body, request.encoding, self.max_body_bytes)
            decoded = DECODERS[request.kind](body) if request.signal != "metrics" else Decoded()
        except TooLargeError as error:
            self._finish(ticket, Answer(413, str(error)))
            return
        except UndecodableError as error:
            self._finish(ticket, Answer(400, str(error)))
            return
        self._hold(ticket, len(body) - ticket.size)
        ticket.rejected = decoded.rejected
        project, now = request.project, time.monotonic()
        self._open[ticket] = None
        project.add(decoded, ticket, now)
        if not ticket.parts:
            self._close(ticket)
            return
        if self._journal is not None and ticket.file is None:
            self._export_ready(project, now, self._flushing)
            if ticket.parts:
                self._keep(self._journal, request, ticket, body)
        if ticket.deadline is not None and not ticket.future.done():
            self._deadlines.append(ticket)

    def _export_ready(self, project: Project, now: float, everything: bool) -> None:
        self._settle(project.export_ready(now, everything, self._queue.put))

    def _keep(self, journal: RequestJournal, request: Request, ticket: Ticket, body: bytes) -> None:
        """Write a request that waits in the window to disk, so that it can be answered."""
        try:
            ticket.file = journal.write(request.project.fingerprint, request.kind, body)
        except OSError as error:  # then it is answered once it is delivered
            request.project.ledger.warn("journal", f"a request could not be kept on disk: {type(error).__name__}")
        else:
            ticket.answer()

    def _settle(self, parts: Iterable[Ticket]) -> None:
        """Parts of requests are delivered or on disk."""
        for ticket in parts:
            ticket.parts -= 1
            if not ticket.parts:
                self._close(ticket)

    def _close(self, ticket: Ticket) -> None:
        """Answer a request of which nothing can be lost any more."""
        if ticket not in self._open:  # it has failed
            return
        del self._open[ticket]
        ticket.answer()
        if ticket.file is not None:
            ticket.file.unlink(missing_ok=True)
        self._hold(ticket, -ticket.size)

    def _expire(self, now: float) -> None:
        """Ask senders to try again whose time is up."""
        while self._deadlines:
            ticket = self._deadlines[0]
            if ticket.deadline is not None and now < ticket.deadline and not ticket.future.done():
                break
            self._deadlines.popleft()
            ticket.resolve(TOO_BUSY)

    def _finish(self, ticket: Ticket, answer: Answer) -> None:
        self._open.pop(ticket, None)
        ticket.resolve(answer)
        self._hold(ticket, -ticket.size)

    def _hold(self, ticket: Ticket, more: int) -> None:
        ticket.size += more
        self.release(-more)

    def _resubmit(self, recovered: JournaledRequest) -> None:
        project = self.projects.get(recovered.project)
        if project is None:  # its key is not allowed any more; it stays on disk
            logger.warning("%s is for a project whose key is not configured", recovered.file)
            return
        name, _, encoding = recovered.kind.partition(".")
        signal: Signal = "logs" if name == "logs" else "traces"
        ticket = Ticket(signal, len(recovered.body), None, file=recovered.file)
        self.reserve(ticket.size)
        self._queue.put((Request(project, signal, encoding == "json", recovered.body), ticket))
