"""The OTLP/HTTP receiver: an ASGI app, and the server that limits slow clients and drains on SIGTERM.

Source: OTLP specification 1.9, "OTLP/HTTP" (https://opentelemetry.io/docs/specs/otlp/#otlphttp).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import orjson
import uvicorn
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from otel_posthog.bridge._bodies import ENCODINGS
from otel_posthog.bridge._intake import Intake, Request
from otel_posthog.bridge._metrics import Metrics
from otel_posthog.bridge._project import Project
from otel_posthog.bridge._ticket import TOO_BUSY, Answer, Signal

PROTOBUF, JSON = "application/x-protobuf", "application/json"

_SUCCESS: dict[Signal, tuple[type[Any], str]] = {
    "traces": (ExportTraceServiceResponse, "rejected_spans"),
    "logs": (ExportLogsServiceResponse, "rejected_log_records"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points"),
}
# google.rpc.Code for the Status of an error.
_CODES = {400: 3, 401: 16, 408: 4, 413: 8, 415: 3, 500: 13, 503: 14}
_READ_WITHIN = 10.0  # seconds for a body, and for the header of a request
_HEADER_LIMIT = 16 * 1024


class Keys:
    """Which project a request is for.

    Without ``Authorization`` it is the default one; ``Authorization: Bearer phc_…`` chooses among the allowed keys.
    """

    def __init__(self, default: Project | None, others: Mapping[str, Project]) -> None:
        self._default = default
        self._by_key = {**others, **({default.settings.api_key: default} if default is not None else {})}

    def project_of(self, authorization: str | None) -> Project | None:
        """``None`` if there is no such project."""
        if authorization is None:
            return self._default
        scheme, _, key = authorization.partition(" ")
        return self._by_key.get(key.strip()) if scheme.lower() == "bearer" else None


def build_app(intake: Intake, keys: Keys, metrics: Metrics) -> Starlette:
    """The app: ``/v1/traces``, ``/v1/logs``, ``/v1/metrics``, ``/healthz``, ``/readyz`` and ``/metrics``."""

    def receiver(signal: Signal) -> Route:
        async def receive(http: HttpRequest) -> Response:
            with metrics.measured(signal) as measured:
                answer = await _receive(http, signal, intake, keys)
                measured(answer.status)
            return _response(answer, signal, _media_type(http))

        return Route(f"/v1/{signal}", receive, methods=["POST"])

    async def healthy(_: HttpRequest) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_: HttpRequest) -> Response:
        return PlainTextResponse("ok\n") if intake.is_alive else PlainTextResponse("not ready\n", 503)

    async def scrape(_: HttpRequest) -> Response:
        body, media_type = metrics.exposition()
        return Response(body, media_type=media_type)

    routes = [receiver("traces"), receiver("logs"), receiver("metrics")]
    probes = [Route("/healthz", healthy), Route("/readyz", ready), Route("/metrics", scrape)]
    app = Starlette(routes=[*routes, *probes])
    app.router.redirect_slashes = False
    return app


async def _receive(http: HttpRequest, signal: Signal, intake: Intake, keys: Keys) -> Answer:
    project = keys.project_of(http.headers.get("authorization"))
    if project is None:
        return Answer(401, "unknown project key: send an allowed one as Authorization: Bearer phc_…")
    media_type, encoding = _media_type(http), http.headers.get("content-encoding", "").strip().lower()
    if media_type not in (PROTOBUF, JSON):
        return Answer(415, f"Content-Type must be {PROTOBUF} or {JSON}")
    if encoding not in ENCODINGS:
        return Answer(415, "Content-Encoding must be gzip, deflate or identity")
    body = await _read(http, intake)
    if isinstance(body, Answer):
        return body
    ticket = intake.submit(Request(project, signal, media_type == JSON, body, encoding))
    # Shielded, because what was taken is delivered even if the client goes away.
    return await asyncio.shield(asyncio.wrap_future(ticket.future))


async def _read(http: HttpRequest, intake: Intake) -> bytes | Answer:
    """The body, or why it is not taken."""
    limit, length = intake.max_body_bytes, http.headers.get("content-length", "")
    too_large = Answer(413, f"the body exceeds {limit:,} bytes")
    if length.isdecimal() and int(length) > limit:
        return too_large
    body = bytearray()
    refusal: Answer | None = None

    async def read() -> Answer | None:
        async for chunk in http.stream():
            if len(body) + len(chunk) > limit:
                return too_large
            if not intake.admit(len(chunk)):
                return TOO_BUSY
            body.extend(chunk)
        return None

    try:
        refusal = await asyncio.wait_for(read(), _READ_WITHIN)
    except asyncio.TimeoutError:
        refusal = Answer(408, f"the body did not arrive within {_READ_WITHIN:.0f} seconds")
    except ClientDisconnect:
        refusal = Answer(400, "the client disconnected")
    finally:
        if refusal is not None:
            intake.release(len(body))
    return bytes(body) if refusal is None else refusal


def _media_type(http: HttpRequest) -> str:
    return http.headers.get("content-type", "").partition(";")[0].strip().lower()


def _response(answer: Answer, signal: Signal, media_type: str) -> Response:
    """The answer in the request's encoding."""
    is_json = media_type == JSON
    headers = {} if answer.retry_after is None else {"Retry-After": str(answer.retry_after)}
    if answer.status != 200:
        code = _CODES.get(answer.status, 2)
        content = (
            orjson.dumps({"code": code, "message": answer.message})
            if is_json
            else Status(code=code, message=answer.message).SerializeToString()
        )
        if answer.status in (408, 413, 503):
            headers["Connection"] = "close"  # the rest of the body is not read
        return Response(content, answer.status, headers, JSON if is_json else PROTOBUF)
    return Response(success(answer, signal, is_json), 200, headers, JSON if is_json else PROTOBUF)


def success(answer: Answer, signal: Signal, is_json: bool) -> bytes:
    """An ``Export…ServiceResponse``."""
    kind, field = _SUCCESS[signal]
    if not answer.message:
        return b"{}" if is_json else b""
    if is_json:
        name = field.split("_")[0] + "".join(word.capitalize() for word in field.split("_")[1:])
        return orjson.dumps({"partialSuccess": {name: str(answer.rejected), "errorMessage": answer.message}})
    partial = {field: answer.rejected, "error_message": answer.message}
    serialized: bytes = kind(partial_success=partial).SerializeToString()
    return serialized


class _Protocol(H11Protocol):
    """uvicorn's protocol, with a limit on the time that the header of a request may take."""

    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_header()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._expect_header()
        else:
            self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _expect_header(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(_READ_WITHIN, self.transport.close)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None


class Companion(Protocol):
    """Another server in the same event loop."""

    async def start(self) -> None:
        """Listen."""

    async def stop(self) -> None:
        """Answer what has come, and close."""


class BridgeServer(uvicorn.Server):
    """Serves until SIGTERM or SIGINT, then answers what has come. :attr:`port` is the one it listens on."""

    def __init__(
        self,
        app: Starlette,
        intake: Intake,
        host: str,
        port: int,
        *,
        companion: Companion | None = None,
        max_connections: int = 1000,
    ) -> None:
        self._intake, self._companion = intake, companion
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                http=_Protocol,
                ws="none",
                lifespan="off",
                access_log=False,
                log_level="warning",
                proxy_headers=False,
                server_header=False,
                limit_concurrency=max_connections,
                backlog=512,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=10,
                h11_max_incomplete_event_size=_HEADER_LIMIT,
            )
        )

    async def startup(self, sockets: Any = None) -> None:
        """Listen."""
        if self._companion is not None:
            await self._companion.start()
        await super().startup(sockets)

    async def shutdown(self, sockets: Any = None) -> None:
        """Close the trace windows, so that nobody waits for them, and answer."""
        self._intake.hurry()
        if self._companion is not None:
            await self._companion.stop()
        await super().shutdown(sockets)

    @property
    def port(self) -> int:
        """Of the first socket, once it listens."""
        number: int = self.servers[0].sockets[0].getsockname()[1]
        return number
