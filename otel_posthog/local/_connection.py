"""Answers that no web framework gives: a connection closed, cut or left hanging.

`ConnectionProtocol` is uvicorn's h11 protocol, which also hands the connection's transport to the
application, in the ASGI scope's ``extensions``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import MutableMapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_EXTENSION = "otel_posthog.transport"


class ConnectionProtocol(H11Protocol):
    """One connection: every request on it carries its transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Headers and body are written apart: with Nagle's algorithm each answer waits some 40 ms
        # for an acknowledgement. asyncio turns it off only where the socket names its protocol.
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        application: Any = self.app

        async def with_transport(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[_EXTENSION] = transport
            await application(scope, receive, send)

        self.app = with_transport


class ResetResponse(Response):
    """No answer: a TCP reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport: asyncio.Transport = scope["extensions"][_EXTENSION]
        reset(transport)
        await _disconnected(receive)


class TruncatedResponse(Response):
    """The headers promise the whole body, half of it comes, the connection ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        scope["extensions"][_EXTENSION].close()
        await _disconnected(receive)


class HangingResponse(Response):
    """No answer until the client gives up or ``stopping`` is set."""

    def __init__(self, stopping: asyncio.Event) -> None:
        super().__init__()
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        waits = [
            asyncio.ensure_future(self._stopping.wait()),
            asyncio.ensure_future(_disconnected(receive)),
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        scope["extensions"][_EXTENSION].abort()
        await _disconnected(receive)


def reset(transport: asyncio.Transport) -> None:
    """Close with RST instead of FIN: SO_LINGER with a time of 0 discards what is queued."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _disconnected(receive: Receive) -> None:
    """Wait for the end of the connection, so that nobody tries to answer on it."""
    while (await receive())["type"] != "http.disconnect":
        pass
