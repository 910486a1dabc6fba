"""What OTLP's two encodings have in common: what a decoded request is, enumerations, and attributes that are decoded
when somebody asks for them.

Source: OpenTelemetry Protocol specification 1.9 (https://opentelemetry.io/docs/specs/otlp/) and
https://github.com/open-telemetry/opentelemetry-proto.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, KeysView, Mapping
from dataclasses import dataclass, field
from typing import Any

from otel_posthog._spans import EventView, SpanView
from otel_posthog._trace import EvaluationRecord, SpanKey
from otel_posthog.conventions import EVALUATION_EVENTS

KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}
STATUS_CODES = {1: "OK", 2: "ERROR"}
# SpanFlags in trace.proto: whether the next bit means anything, and whether the parent is of another process.
_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200

DEEPEST = 64  # levels of nested attribute values; what is deeper is left out

_UNREAD = object()


def is_remote_parent(flags: int, kind: str) -> bool:
    """Whether a span's parent is of another process. Where an older SDK does not say, the kind does: the parent of a
    SERVER or CONSUMER span is the caller (OpenTelemetry specification, "SpanKind")."""
    if flags & _HAS_IS_REMOTE:
        return bool(flags & _IS_REMOTE)
    return kind in ("SERVER", "CONSUMER")


class UndecodableError(ValueError):
    """The bytes are not an OTLP request; sending them again cannot help."""


@dataclass(slots=True)
class Decoded:
    """What a request holds. ``sizes`` are the bytes of each span, in order; ``rejected`` counts by reason.

    Log records that no event can be made of are left out.
    """

    spans: list[SpanView] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    logs: list[tuple[SpanKey, EventView]] = field(default_factory=list)
    evaluations: list[EvaluationRecord] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)


class LazyAttributes(Mapping[str, Any]):
    """Attributes of one span. Names cost next to nothing; a value is decoded when it is first asked for."""

    __slots__ = ("_decode", "_raw", "_values")

    def __init__(self, raw: dict[str, Any], decode: Callable[[Any], Any]) -> None:
        self._raw = raw
        self._values: dict[str, Any] = {}
        self._decode = decode

    def __getitem__(self, name: str) -> Any:
        value = self._values.get(name, _UNREAD)
        if value is _UNREAD:
            value = self._values[name] = self._decode(self._raw[name])
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    # Mapping's own would call a Python method for each name.

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._raw.keys()

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or the default."""
        return self[name] if name in self._raw else default

    def __repr__(self) -> str:
        return f"LazyAttributes({list(self._raw)})"

    def copy(self) -> dict[str, Any]:
        """All of them, decoded."""
        values, decode = self._values, self._decode
        for name, raw in self._raw.items():
            if name not in values:
                values[name] = decode(raw)
        return dict(values)


def add_log(decoded: Decoded, name: Any, key: SpanKey, record: EventView, evaluation: EvaluationRecord) -> None:
    """Sort a log record in: evaluations are events, ``gen_ai.*`` records belong to their span."""
    if not isinstance(name, str):
        return
    if name in EVALUATION_EVENTS:
        decoded.evaluations.append(evaluation)
    elif name.startswith("gen_ai.") and key[1]:
        decoded.logs.append((key, record))
