"""Whose a piece of code is: ``otel_posthog.context``, the posthog SDK's own context, and baggage.

All of it travels in OpenTelemetry's ``Context``, so that threads and tasks that carry the one carry the other, and no
attribute appears that other exporters would see.
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from opentelemetry import baggage
from opentelemetry.context import Context, attach, create_key, get_current, get_value, set_value

P = ParamSpec("P")
R = TypeVar("R")

_KEY = create_key("otel_posthog.context")
_ENTRIES = create_key("otel_posthog.entries")

# Baggage entries that are read, and (the first of each) written by ``context(…, propagate=True)``.
BAGGAGE_USER = ("posthog.distinct_id", "user.id", "enduser.id")
BAGGAGE_SESSION = ("posthog.session_id", "session.id")


@dataclass(frozen=True, slots=True)
class CaptureContext:
    """What :class:`context` and its peers said when a span started. ``baggage_…`` comes from another service and counts
    less than a span's own ancestors."""

    distinct_id: str | None = None
    session_id: str | None = None
    groups: Mapping[str, Any] | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    capture_content: bool | None = None
    baggage_user: str | None = None
    baggage_session: str | None = None


_NOTHING = CaptureContext()

# Set once any code of this process has opted out of content capture.
_content_opt_out = threading.Event()
WITHOUT_CONTENT = CaptureContext(capture_content=False)


def fallback_context() -> CaptureContext | None:
    """For a span whose context is not known: no content, if any code of this process opted out."""
    return WITHOUT_CONTENT if _content_opt_out.is_set() else None


def _text(value: object) -> str | None:
    """Ids as text: apps have numbers and UUIDs too."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None else str(value)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A ``with context(…):`` that has been entered, and the OpenTelemetry context to go back to."""

    owner: weakref.ref[context]
    before: Context


class context:  # noqa: N801 - used like a function, as contextlib's own
    """Says who the AI spans that start inside are for. A context manager and a decorator, sync and async.

    Args:
        distinct_id: the user, as PostHog knows them; ids that are not text (numbers, UUIDs) become one.
        session_id: groups traces (``$ai_session_id``).
        groups: PostHog groups, ``{type: key}``.
        properties: added to the events; those of an outer context stay.
        capture_content: ``False`` keeps the content of these spans in the process; ``True`` has no effect where the
            setting forbids it.
        propagate: also put ``distinct_id`` and ``session_id`` into W3C baggage, which outgoing requests carry to
            other services. Off by default: baggage goes to every host that the app calls.

    What is not given is kept from the context around. Needs :class:`~otel_posthog.PostHogSpanProcessor`.

    It may be left in another thread, task or ``contextvars.Context`` than it was entered in, as happens to generators
    that a framework runs step by step: nothing is raised or logged, and that place keeps its own context.

    Example::

        with otel_posthog.context(distinct_id="user-8812", session_id="s1"):
            client.chat.completions.create(…)
    """

    def __init__(
        self,
        *,
        distinct_id: str | None = None,
        session_id: str | None = None,
        groups: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        capture_content: bool | None = None,
        propagate: bool = False,
    ) -> None:
        given = {
            "distinct_id": _text(distinct_id),
            "session_id": _text(session_id),
            "groups": dict(groups) if isinstance(groups, Mapping) else None,
            "capture_content": capture_content,
        }
        self._given: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        stated = properties if isinstance(properties, Mapping) else {}
        self._properties = {str(name): value for name, value in stated.items()}
        self._propagate = propagate

    def __enter__(self) -> None:
        if self._given.get("capture_content") is False:
            _content_opt_out.set()
        around = _own(None)
        inside = replace(around, properties={**around.properties, **self._properties}, **self._given)
        entered = set_value(_KEY, inside)
        for name, field_name in ((BAGGAGE_USER[0], "distinct_id"), (BAGGAGE_SESSION[0], "session_id")):
            value = getattr(inside, field_name)
            # The baggage of an outer context must not name its user inside this one.
            replaced = field_name in self._given and baggage.get_baggage(name, entered) is not None
            if value is not None and (self._propagate or replaced):
                entered = baggage.set_baggage(name, value, entered)
        entries = _entries()
        # An abandoned generator never leaves what it entered, so its entry must not be kept for good.
        remaining = tuple(entry for entry in entries if entry.owner() is not None)
        before = get_current() if len(remaining) == len(entries) else set_value(_ENTRIES, remaining)
        attach(set_value(_ENTRIES, (*remaining, _Entry(weakref.ref(self), before)), entered))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # Not with detach(): its token is only good in the contextvars.Context of __enter__.
        entry = next((entry for entry in reversed(_entries()) if entry.owner() is self), None)
        if entry is not None:
            attach(entry.before)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, at)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, each call of which runs inside.

        Raises:
            TypeError: it is a generator, between whose steps other code runs. Enter the context in the generator,
                around the calls that it makes.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"context() cannot decorate the generator {function.__qualname__}: use `with context(…):` in it, "
                "around its calls."
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self._again():
                    return await function(*args, **kwargs)

            return run_async  # type: ignore[return-value]  # a coroutine function again

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._again():
                return function(*args, **kwargs)

        return run

    def _again(self) -> context:
        """A fresh one for each call: calls may overlap."""
        return context(properties=self._properties, propagate=self._propagate, **self._given)


SdkIdentity = tuple["str | None", "str | None"]  # user and session
NO_SDK_IDENTITY: SdkIdentity = (None, None)


def capture_context_of(otel: Context | None, sdk: SdkIdentity = NO_SDK_IDENTITY) -> CaptureContext | None:
    """The capture context of an OpenTelemetry context, ``None`` if there is none."""
    own = _own(otel)
    carried = baggage.get_all(otel)
    if not carried and sdk is NO_SDK_IDENTITY:
        return None if own is _NOTHING else own
    return replace(
        own,
        distinct_id=own.distinct_id or sdk[0],
        session_id=own.session_id or sdk[1],
        baggage_user=_first(carried, BAGGAGE_USER),
        baggage_session=_first(carried, BAGGAGE_SESSION),
    )


def _entries() -> tuple[_Entry, ...]:
    found = get_value(_ENTRIES)
    return found if isinstance(found, tuple) else ()


def _own(parent: Context | None) -> CaptureContext:
    found = get_value(_KEY, parent)
    return found if isinstance(found, CaptureContext) else _NOTHING


def _first(carried: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    return next((str(carried[name]) for name in names if carried.get(name)), None)


def sdk_identity() -> SdkIdentity:
    """User and session of ``posthog.new_context``/``identify_context``, if the app uses the posthog SDK.

    They are in a context variable of that SDK, so this must run in the app's thread.
    """
    sdk = sys.modules.get("posthog.contexts")
    if sdk is None:
        return NO_SDK_IDENTITY
    return _call(sdk, "get_context_distinct_id"), _call(sdk, "get_context_session_id")


def _call(sdk: object, name: str) -> str | None:
    try:
        value = getattr(sdk, name)()
    except Exception:  # another version of the SDK, or a context of another kind
        return None
    return value if isinstance(value, str) and value else None
