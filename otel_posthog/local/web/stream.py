"""Server-sent events: one message whenever the store has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from otel_posthog.local.store import Store

_LOOK_EVERY = 0.4  # seconds; other processes change the file too, so nobody but the file knows
_PING_EVERY = 15.0  # seconds


async def stream(request: Request) -> StreamingResponse:
    """Say ``changed`` after each change, at most every 0.4 s, until the server stops.

    ``since`` is the state that the page shows, so that what came before it listened is not missed.
    """
    state, since = request.app.state, request.query_params.get("since")
    changes = _changes(state.store, state.stopping, since)
    return StreamingResponse(changes, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _changes(store: Store, stopping: asyncio.Event, seen: str | None) -> AsyncIterator[str]:
    if seen is None:
        seen = await run_in_threadpool(store.state)
    quiet = 0.0
    yield "retry: 1000\n\n"
    while not await _stopped(stopping, _LOOK_EVERY):
        now = await run_in_threadpool(store.state)
        quiet += _LOOK_EVERY
        if now != seen:
            seen, quiet = now, 0.0
            yield f"event: changed\ndata: {now}\n\n"
        elif quiet >= _PING_EVERY:
            quiet = 0.0
            yield ": still here\n\n"


async def _stopped(stopping: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except (TimeoutError, asyncio.TimeoutError):
        return False
    return True
