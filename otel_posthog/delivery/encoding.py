"""Events as JSON, encoded once: sizes are exact, splitting a request is slicing, and a retry sends the same bytes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import orjson

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
# PostHog's JSON parser (serde_json) refuses a request that nests deeper than 127 levels.
_DEEPEST = 125
_DEEPEST_VALUE = 100
_MOST_VALUES = 50_000  # per property in the slow path: a value that contains itself twice doubles at every level
_NO_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


@dataclass(frozen=True, slots=True)
class EncodedEvent:
    """An event as JSON, with the name and uuid that logs and counters use."""

    name: str
    uuid: str
    body: bytes


class Event(Protocol):
    """The fields of an event; ``timestamp`` is RFC 3339 in UTC."""

    @property
    def name(self) -> str: ...
    @property
    def uuid(self) -> str: ...
    @property
    def distinct_id(self) -> str: ...
    @property
    def timestamp(self) -> str: ...
    @property
    def properties(self) -> dict[str, Any]: ...


# Version 1 has these as fields of their own, strictly typed: a wrong type fails the whole batch.
_FIELDS = {"session_id": "$session_id", "window_id": "$window_id"}
_EVENT_OPTIONS: dict[str, tuple[str, type]] = {
    "cookieless_mode": ("$cookieless_mode", bool),
    "disable_skew_correction": ("$ignore_sent_at", bool),
    "process_person_profile": ("$process_person_profile", bool),
    "product_tour_id": ("$product_tour_id", str),
}


def encode(event: Event, version: int = 0) -> EncodedEvent:
    """An event of the capture API: ``{event, uuid, distinct_id, timestamp, properties}``.

    ``version`` 1 has ``session_id``, ``window_id`` and ``options`` beside the properties.
    Never raises: what JSON cannot hold (lone surrogates, huge integers, bytes, foreign objects) is replaced.
    """
    captured = {
        "event": event.name,
        "uuid": event.uuid,
        "distinct_id": event.distinct_id,
        "timestamp": event.timestamp,
        "properties": event.properties,
    }
    if version == 1:
        captured |= _v1_fields(event.properties)
    try:
        body = orjson.dumps(captured, default=_plain, option=_OPTIONS)
        if _is_too_deep(body):
            body = orjson.dumps(_cleaned(captured))
    except Exception:  # orjson refuses a value, or an object raises while it is read
        body = orjson.dumps(_cleaned(captured))
    return EncodedEvent(event.name, event.uuid, body)


def _v1_fields(original: Mapping[str, Any]) -> dict[str, Any]:
    properties = dict(original)
    fields: dict[str, Any] = {}
    for name, written in _FIELDS.items():
        value = properties.pop(written, None)
        if value is not None:
            fields[name] = str(value)
    options = {}
    for name, (written, kind) in _EVENT_OPTIONS.items():
        if isinstance(properties.get(written), kind):
            options[name] = properties.pop(written)
    return {**fields, "options": options, "properties": properties}


def _is_too_deep(body: bytes) -> bool:
    """Brackets inside strings count too, so this may be a false positive, never a false negative."""
    if body.count(b"{") + body.count(b"[") <= _DEEPEST:
        return False
    brackets = body.translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets))) > _DEEPEST


def _plain(value: Any) -> Any:
    """Convert a type orjson does not support to one it does."""
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


def _cleaned(captured: dict[str, Any]) -> dict[str, Any]:
    """The event with what JSON cannot hold replaced; each property separately, so that a bad one costs no other."""
    properties = {_Cleaner().key(name): _Cleaner().clean(value) for name, value in captured["properties"].items()}
    return {**{name: _Cleaner().clean(captured[name]) for name in captured if name != "properties"},
            "properties": properties}  # fmt: skip


class _Cleaner:
    """The slow path: value by value, each as orjson would write it, or a replacement."""

    def __init__(self) -> None:
        self._left = _MOST_VALUES

    def clean(self, value: Any, depth: int = 0) -> Any:
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST_VALUE:
            return "…"
        try:
            return self._clean(value, depth)
        except Exception:  # an object that raises when it is read
            return f"<{type(value).__name__}>"

    def _clean(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return value.encode("utf-8", "replace").decode()
        if isinstance(value, int) and not isinstance(value, bool):
            return int(value) if -(2**63) <= value < 2**64 else str(value)
        if isinstance(value, Mapping):
            return {self.key(key): self.clean(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.clean(item, depth + 1) for item in value]
        plain = orjson.loads(orjson.dumps(value, default=_shallow, option=_OPTIONS))
        return self.clean(plain, depth) if isinstance(plain, (dict, list)) else plain

    def key(self, key: Any) -> str:
        if isinstance(key, str):
            return key.encode("utf-8", "replace").decode()
        if isinstance(key, int) and not isinstance(key, bool):
            return str(int(key))
        try:
            (name,) = orjson.loads(orjson.dumps({key: 0}, option=_OPTIONS))
            return str(name)
        except Exception:
            return f"<{type(key).__name__}>"


def _shallow(value: Any) -> Any:
    """As :func:`_plain`, for one value; the items of a foreign collection are cleaned separately."""
    plain = _plain(value)
    return [_Cleaner().clean(item, _DEEPEST_VALUE - 1) for item in plain] if isinstance(plain, list) else plain
