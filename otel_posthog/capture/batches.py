"""Encoded events, and batches of them that no limit refuses.

Every event is encoded once. Sizes are exact, splitting is slicing, and a retry sends the same event bytes.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import orjson

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
_DEEPEST = 100  # levels of nesting that the clean-up follows; orjson itself refuses 255


@dataclass(frozen=True, slots=True)
class Encoded:
    """An event as JSON, with what is needed to speak of it."""

    name: str
    uuid: str
    body: bytes


class Capturable(Protocol):
    """What an event has to have; ``timestamp`` is RFC 3339 in UTC."""

    name: str
    uuid: str
    distinct_id: str
    timestamp: str
    properties: dict[str, Any]


def encode(event: Capturable) -> Encoded:
    """An event of the capture API: ``{event, uuid, distinct_id, timestamp, properties}``.

    Never raises: what JSON cannot hold (lone surrogates, huge integers, bytes, foreign objects) is replaced.
    """
    captured = {
        "event": event.name,
        "uuid": event.uuid,
        "distinct_id": event.distinct_id,
        "timestamp": event.timestamp,
        "properties": event.properties,
    }
    try:
        body = orjson.dumps(captured, default=_plain, option=_OPTIONS)
    except (TypeError, ValueError, RecursionError):
        body = orjson.dumps(_clean(captured), default=repr)
    return Encoded(event.name, event.uuid, body)


def _plain(value: Any) -> Any:
    """What orjson does not know, as JSON."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _bytes(bytes(value))
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)) or hasattr(value, "__iter__"):
        return list(value)
    return repr(value)


def _bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def _clean(value: Any, depth: int = 0) -> Any:
    """The slow way, for values that orjson refuses."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {_clean(str(key)): _clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item, depth + 1) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return _bytes(bytes(value))
    return _clean(repr(value))


def batches(events: Iterable[Encoded], max_events: int, max_bytes: int) -> Iterator[list[Encoded]]:
    """The events in order, in lists of at most ``max_events`` and, if it is more than one, ``max_bytes`` of JSON."""
    batch: list[Encoded] = []
    size = 0
    for event in events:
        added = len(event.body) + 1  # the comma
        if batch and (len(batch) >= max_events or size + added > max_bytes):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += added
    if batch:
        yield batch
