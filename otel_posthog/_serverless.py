"""For functions whose process is frozen between invocations: events must be sent before the handler returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, overload

from otel_posthog._configure import flush

_Function = TypeVar("_Function", bound=Callable[..., Any])

_RESERVE = 200  # milliseconds kept for the response


@overload
def flush_on_return(function: _Function) -> _Function: ...
@overload
def flush_on_return(*, timeout_millis: int = ...) -> Callable[[_Function], _Function]: ...
def flush_on_return(function: _Function | None = None, *, timeout_millis: int = 5000) -> Any:
    """Decorator of a handler, sync or async, or a generator: :func:`flush` when it ends, at most ``timeout_millis``.

    Where an argument is a Lambda context (https://docs.aws.amazon.com/lambda/latest/dg/python-context.html), the
    time that the call has left bounds it too.
    """
    if function is None:
        return lambda handler: _flushed(handler, timeout_millis)
    return _flushed(function, timeout_millis)


def _flushed(handler: Callable[..., Any], timeout_millis: int) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(handler):

        @wraps(handler)
        async def flushed_async(*arguments: Any, **named: Any) -> Any:
            try:
                return await handler(*arguments, **named)
            finally:
                await _flush_beside_the_loop(_time_left(arguments, timeout_millis))

        return flushed_async

    if inspect.isasyncgenfunction(handler):

        @wraps(handler)
        async def flushed_stream_async(*arguments: Any, **named: Any) -> Any:
            try:
                async for item in handler(*arguments, **named):
                    yield item
            finally:
                await _flush_beside_the_loop(_time_left(arguments, timeout_millis))

        return flushed_stream_async

    if inspect.isgeneratorfunction(handler):

        @wraps(handler)
        def flushed_stream(*arguments: Any, **named: Any) -> Any:
            try:
                return (yield from handler(*arguments, **named))
            finally:
                flush(_time_left(arguments, timeout_millis))

        return flushed_stream

    @wraps(handler)
    def flushed(*arguments: Any, **named: Any) -> Any:
        try:
            return handler(*arguments, **named)
        finally:
            flush(_time_left(arguments, timeout_millis))

    return flushed


async def _flush_beside_the_loop(timeout_millis: int) -> None:
    """Flush without blocking other tasks."""
    import asyncio  # a slow import, which who runs this has done already

    await asyncio.to_thread(flush, timeout_millis)


def _time_left(arguments: tuple[Any, ...], timeout_millis: int) -> int:
    for argument in arguments:
        remaining = getattr(argument, "get_remaining_time_in_millis", None)
        if callable(remaining):
            try:
                return max(0, min(timeout_millis, int(remaining()) - _RESERVE))
            except Exception:  # not what it seems
                return timeout_millis
    return timeout_millis
