"""The OTLP/gRPC receiver, in the event loop of the HTTP server and on the same intake.

Source: OTLP specification 1.9, "OTLP/gRPC" (https://opentelemetry.io/docs/specs/otlp/#otlpgrpc).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otel_posthog.bridge._intake import Intake, Request
from otel_posthog.bridge._server import Keys, success
from otel_posthog.bridge._ticket import TOO_BUSY, Answer, Signal

_METHODS: dict[Signal, str] = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
}
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    503: grpc.StatusCode.UNAVAILABLE,
}


class GrpcServer:
    """Serves the three OTLP services on ``address``."""

    def __init__(self, intake: Intake, keys: Keys, address: str) -> None:
        self._intake, self._keys, self._address = intake, keys, address

    async def start(self) -> None:
        """Listen. ``RuntimeError`` if the port is taken."""
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", self._intake.max_body_bytes)])
        # Without (de)serializers: the intake decodes, off the event loop.
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    service, {"Export": grpc.unary_unary_rpc_method_handler(self._export(signal))}
                )
                for signal, service in _METHODS.items()
            ]
        )
        self._server.add_insecure_port(self._address)
        await self._server.start()

    async def stop(self) -> None:
        """Answer what has come, and close."""
        await self._server.stop(5)

    def _export(self, signal: Signal) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def export(body: bytes, context: Any) -> bytes:
            answer = await self._answer(signal, body, dict(context.invocation_metadata()).get("authorization"))
            if answer.status == 200:
                return success(answer, signal, is_json=False)
            code = _CODES.get(answer.status, grpc.StatusCode.INTERNAL)
            if answer.retry_after is not None:
                await context.abort(code, answer.message, _retry_info(code, answer))
            await context.abort(code, answer.message)
            raise AssertionError("abort raises")

        return export

    async def _answer(self, signal: Signal, body: bytes, authorization: str | None) -> Answer:
        project = self._keys.project_of(authorization)
        if project is None:
            return Answer(401, "unknown project key: send an allowed one as authorization: Bearer phc_…")
        if not self._intake.admit(len(body)):
            return TOO_BUSY
        ticket = self._intake.submit(Request(project, signal, False, body))
        return await asyncio.shield(asyncio.wrap_future(ticket.future))


def _retry_info(code: grpc.StatusCode, answer: Answer) -> tuple[tuple[str, bytes], ...]:
    """The trailer that names the delay, as the specification asks."""
    status = Status(code=code.value[0], message=answer.message)
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=answer.retry_after)))
    return (("grpc-status-details-bin", status.SerializeToString()),)
