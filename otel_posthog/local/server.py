"""`LocalPostHog`: the capture endpoints on a port of this machine, served from a daemon thread.

with LocalPostHog(faults=["503:times=2"]) as posthog:
    ...  # send to posthog.url
    events = posthog.wait_for(10)
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from os import PathLike
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from otel_posthog.local import query
from otel_posthog.local._connection import (
    ConnectionProtocol,
    HangingResponse,
    ResetResponse,
    TruncatedResponse,
)
from otel_posthog.local.contract import BODY_LIMIT, Endpoint, Verdict, endpoint_of, judge
from otel_posthog.local.faults import Fault
from otel_posthog.local.store import RequestRecord, Store, StoredEvent, without_secrets

_log = logging.getLogger(__name__)
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class LocalPostHog:
    """A PostHog that runs in this process and enforces the real contract.

    Args:
        port: TCP port; 0 takes a free one.
        database: SQLite file; ``None`` keeps everything in memory.
        faults: ways to fail, as ``Fault`` or as text (``"503:times=2"``). The first that fires on a
            request wins; latencies add up. ``faults`` can be changed while the server runs.
        api_keys: the project keys to accept; ``None`` accepts any that starts with ``phc_``.
        serve_ai_lane: ``False`` answers 404 on ``/i/v0/ai/batch/``, as older installations do.
        serve_v1: ``False`` answers 404 on the v1 paths.
        on_event: called with each stored event, in the server's thread.
        host: address to bind; the default is reachable from this machine only.
        explain: ask exporters to say how they made each event, which takes them longer.
    """

    def __init__(
        self,
        port: int = 0,
        database: str | PathLike[str] | None = None,
        faults: Iterable[Fault | str] = (),
        api_keys: Iterable[str] | None = None,
        serve_ai_lane: bool = True,
        serve_v1: bool = True,
        on_event: Callable[[StoredEvent], None] | None = None,
        *,
        host: str = "127.0.0.1",
        explain: bool = False,
    ) -> None:
        self.faults: list[Fault] = [Fault.parse(fault) if isinstance(fault, str) else fault for fault in faults]
        self.store = Store(database)
        self._host, self._port = host, port
        self._explain = explain
        self._api_keys = None if api_keys is None else frozenset(api_keys)
        self._serve_ai_lane = serve_ai_lane
        self._serve_v1 = serve_v1
        self._on_event = on_event
        self._stopping = asyncio.Event()
        self._running: _Running | None = None

    def start(self) -> LocalPostHog:
        """Bind the port and serve. Raises ``OSError`` if the port is taken."""
        if self._running is None:
            # The page comes with the server, but what it is made of is of no use to the contract alone.
            from otel_posthog.local.web.app import page_routes

            routes = [*page_routes(self._host), Route("/{path:path}", self._handle, methods=_METHODS)]
            application = Starlette(routes=routes)
            self._stopping = asyncio.Event()
            application.state.store, application.state.stopping = self.store, self._stopping
            application.state.explain = self._explain
            self._running = _Running(application, self._host, self._port, self._stopping)
        return self

    def stop(self) -> None:
        """Close every connection and the port. What was stored stays readable."""
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    def __enter__(self) -> LocalPostHog:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The host to configure, such as ``http://127.0.0.1:8010``."""
        if self._running is None:
            raise RuntimeError("the local PostHog is not running: call start() first")
        return self._running.url

    def events(self) -> list[StoredEvent]:
        """Every different event, in the order of arrival."""
        return self.store.events()

    def requests(self) -> list[RequestRecord]:
        """Every request, in the order of arrival."""
        return self.store.requests()

    def clear(self) -> None:
        """Forget events and requests."""
        self.store.clear()

    def wait_for(self, n: int, timeout: float = 10) -> list[StoredEvent]:
        """The events once there are ``n`` different ones; ``TimeoutError`` after ``timeout`` s."""
        return self.store.wait_for(n, timeout)

    async def _handle(self, request: Request) -> Response:
        try:
            body, size, digest = await _read(request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        answer = query.answer(request.method, request.url.path, request.headers, body, self.store, self._api_keys)
        if answer is not None:
            self.store.add([], _record(request, answer[0], None, None, size, digest))
            kind = PlainTextResponse if isinstance(answer[1], str) else JSONResponse
            return kind(answer[1], answer[0])
        endpoint = self._endpoint(request.url.path)
        if endpoint is None or request.method != "POST":
            status = 404 if endpoint is None else 405
            self.store.add([], _record(request, status, None, None, size, digest))
            return PlainTextResponse("not served here", status)
        delay, fault = self._choose(request.url.path, endpoint)
        if delay:
            await self._pause(delay)
        verdict = judge(endpoint, request.headers, body, self._api_keys)
        return self._answer(request, verdict, fault, size, digest)

    def _answer(self, request: Request, verdict: Verdict, fault: Fault | None, size: int, digest: str) -> Response:
        if fault is not None:
            fault.change(verdict)
        response = self._response(verdict, fault)
        silent = isinstance(response, ResetResponse | HangingResponse)
        status = None if silent else response.status_code
        accepted = verdict.events if fault is None or fault.stores else []
        record = _record(request, status, fault.kind if fault else None, verdict, size, digest)
        self.store.add(accepted, record, verdict.project)
        if self._on_event is not None:
            for event in self.store.delivered(accepted, verdict.project):
                try:
                    self._on_event(event)
                except Exception:  # a view that fails must not become a server error
                    _log.exception("on_event failed")
        return response

    def _response(self, verdict: Verdict, fault: Fault | None) -> Response:
        if fault is not None and fault.status is not None:
            headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            return PlainTextResponse(f"fault {fault.kind}", fault.status, headers)
        if fault is not None and fault.kind in ("reset", "reset-after"):
            return ResetResponse()
        if fault is not None and fault.kind == "hang":
            return HangingResponse(self._stopping)
        answer, media_type = verdict.answer()
        cut = fault is not None and fault.kind == "truncate"
        kind = TruncatedResponse if cut else Response
        return kind(answer, verdict.status, verdict.headers(), media_type)

    def _endpoint(self, path: str) -> Endpoint | None:
        endpoint = endpoint_of(path)
        if endpoint is None or (endpoint.version == 1 and not self._serve_v1):
            return None
        if endpoint.version == 0 and endpoint.ai_lane and not self._serve_ai_lane:
            return None
        return endpoint

    def _choose(self, path: str, endpoint: Endpoint) -> tuple[float, Fault | None]:
        """Seconds to wait and the fault to play on this request."""
        delay, chosen = 0.0, None
        for fault in tuple(self.faults):
            if not fault.applies_to(path, endpoint.version):
                continue
            if fault.kind == "latency":
                delay += fault.seconds if fault.fires() else 0
            elif chosen is None and fault.fires():
                chosen = fault
        return delay, chosen

    async def _pause(self, seconds: float) -> None:
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([stopping], timeout=seconds)
        stopping.cancel()


class _Running:
    """A uvicorn server in a daemon thread, from bound port to closed port."""

    def __init__(self, application: Starlette, host: str, port: int, stopping: asyncio.Event) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=512)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{listener.getsockname()[1]}"
        self._stopping = stopping
        self._server = _Server(application, stopping)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(listener,), name="otel-posthog-local", daemon=True)
        self._thread.start()
        self._server.ready.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self, listener: socket.socket) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._server.serve(sockets=[listener]))
        finally:
            self._server.ready.set()
            listener.close()
            self._loop.close()


class _Server(uvicorn.Server):
    """uvicorn, told when it is ready and when to stop instead of being asked ten times a second."""

    def __init__(self, application: Starlette, stopping: asyncio.Event) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=ConnectionProtocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                date_header=False,  # uvicorn refreshes it in the loop that is replaced below
                timeout_graceful_shutdown=2,
            )
        )
        self.ready = threading.Event()
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # What asyncio is accepting while it closes its listener it never closes
        # (https://github.com/python/cpython/issues/109564): accept no more, and finish that first.
        for listener in sockets or ():
            asyncio.get_running_loop().remove_reader(listener)
        await asyncio.sleep(0)
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):  # which did not end in time
            connection.transport.abort()
        await asyncio.sleep(0)


async def _read(request: Request) -> tuple[bytes, int, str]:
    """The body, its size in bytes and SHA-256. Past the limit it is read but not kept."""
    kept = bytearray()
    size, digest = 0, hashlib.sha256()
    async for chunk in request.stream():
        size += len(chunk)
        digest.update(chunk)
        kept += chunk[: BODY_LIMIT + 1 - len(kept)]
    return bytes(kept), size, digest.hexdigest()


def _record(
    request: Request,
    status: int | None,
    fault: str | None,
    verdict: Verdict | None,
    size: int,
    digest: str,
) -> RequestRecord:
    return RequestRecord(
        method=request.method,
        path=request.url.path,
        status=status,
        fault=fault,
        events=0 if verdict is None else verdict.sent,
        compressed_bytes=size,
        decompressed_bytes=0 if verdict is None else verdict.decompressed_bytes,
        headers=without_secrets(request.headers.items()),
        body_sha256=digest,
        refusal=_refusal(status, fault, verdict),
        dropped=_dropped(verdict),
    )


def _refusal(status: int | None, fault: str | None, verdict: Verdict | None) -> str | None:
    if verdict is not None and verdict.refusal is not None:
        return f"{verdict.refusal.tag}: {verdict.refusal.detail}"
    if fault is not None:
        return f"the fault {fault} was played"
    return "no capture endpoint has this path" if status == 404 else None


def _dropped(verdict: Verdict | None) -> dict[str, str]:
    """The reason for each event that was dropped from an accepted request, by its uuid."""
    results = {} if verdict is None else verdict.results
    return {uuid: result.get("details", "") for uuid, result in results.items() if result["result"] == "drop"}
