"""What a pipeline remembers between batches: exported calls, so that a second record of one is recognised, and sampling
decisions. Owned by one thread."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from otel_posthog._model import Message, Operation, Text, last_user_text
from otel_posthog._spans import SpanView
from otel_posthog._trace import Identity, SpanKey, TracedSpan
from otel_posthog.stages.identity import identity_attributes
from otel_posthog.stages.overlaps import keys_of
from otel_posthog.stages.sampling import Sampler
from otel_posthog.stages.streams import Key, begun_stream_key, is_late_record, stream_key

_MOST_CALLS = 20_000  # exported calls, about 1 KB each; the oldest is forgotten first
_MOST_SCOPES = 100
_MOST_CANDIDATES = 64  # with one key in common
_MOST_RECENT = 64
_MOST_RECENT_BYTES = 4 * 1024 * 1024
_LONGEST_QUESTION = 2_000  # characters, of what is kept of a call's input
_LONGEST_ANSWER = 4_000  # characters, of what is kept of its output, for the agent around it


@dataclass(frozen=True, slots=True)
class Exported:
    """A span whose event has been made. ``size`` is that of the event in bytes."""

    span: SpanView
    operation: Operation
    identity: Identity
    size: int

    def as_context(self) -> TracedSpan:
        """What later spans need to know of it: ids, times, kind and identity."""
        return as_context(self.span, self.operation, self.identity)


class Memory:
    """Exported calls by what may identify them, and the sampler's decisions."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self._scopes: set[str] = set()  # that have recorded calls
        # With only one, the last calls are kept as they are: making them light costs more.
        self._recent: deque[Exported] = deque(maxlen=_MOST_RECENT)
        self._recent_bytes = 0
        self._calls: OrderedDict[SpanKey, tuple[TracedSpan, list[Key]]] = OrderedDict()
        self._by_key: dict[Key, list[TracedSpan]] = {}
        self._traces: OrderedDict[str, None] = OrderedDict()  # with an exported call
        self._streams: OrderedDict[Key, TracedSpan] = OrderedDict()  # requests whose streams are recorded apart

    @property
    def has_duplicates(self) -> bool:
        """Whether calls may come twice: more than one instrumentation has recorded some."""
        return len(self._scopes) > 1

    def records_calls(self, scope: str) -> bool:
        """Whether the instrumentation has recorded calls, and is not the only one."""
        return len(self._scopes) > 1 and scope in self._scopes

    def related(self, spans: Iterable[TracedSpan]) -> Sequence[TracedSpan]:
        """Exported calls that may be records of the same calls as these."""
        calls = [traced for traced in spans if traced.operation is not None and traced.operation.is_call]
        for traced in calls:
            if len(self._scopes) < _MOST_SCOPES:
                self._scopes.add(traced.span.scope_name)
        streams = [self._streams[key] for traced in calls if is_late_record(traced) and (key := stream_key(traced)) in
                   self._streams]  # fmt: skip
        if not self.has_duplicates:
            return streams
        while self._recent:
            self._add(self._recent.popleft().as_context())
        found: dict[SpanKey, TracedSpan] = {stream.key: stream for stream in streams}
        for traced in calls:
            for key in keys_of(traced):
                for other in self._by_key.get(key, ())[-_MOST_CANDIDATES:]:
                    if other.span.scope_name != traced.span.scope_name:
                        found[other.key] = other
        for traced in calls:
            found.pop(traced.key, None)
        return list(found.values())

    def has_call_in(self, traced: TracedSpan) -> bool:
        """Whether a call of this trace has been exported."""
        return traced.span.trace_id in self._traces

    def remember(self, exported: Exported) -> None:
        """Keep a call, to recognise another record of it."""
        if not exported.operation.is_call:
            self._remember_stream(exported)
            return
        self._traces[exported.span.trace_id] = None
        if len(self._traces) > _MOST_CALLS:
            self._traces.popitem(last=False)
        if self.has_duplicates:
            self._add(exported.as_context())
            return
        if len(self._recent) == _MOST_RECENT:
            self._recent_bytes -= self._recent.popleft().size
        self._recent.append(exported)
        self._recent_bytes += exported.size
        while self._recent_bytes > _MOST_RECENT_BYTES and self._recent:
            self._recent_bytes -= self._recent.popleft().size

    def _remember_stream(self, exported: Exported) -> None:
        key = begun_stream_key(TracedSpan(exported.span, exported.operation))
        if key is not None:
            self._streams[key] = TracedSpan(light(exported.span), exported.operation, exported=True)
            if len(self._streams) > _MOST_RECENT:
                self._streams.popitem(last=False)

    def _add(self, traced: TracedSpan) -> None:
        keys = keys_of(traced)
        self._forget(traced.key)
        self._calls[traced.key] = traced, keys
        for key in keys:
            self._by_key.setdefault(key, []).append(traced)
        if len(self._calls) > _MOST_CALLS:
            self._forget(next(iter(self._calls)))

    def _forget(self, key: SpanKey) -> None:
        known = self._calls.pop(key, None)
        if known is None:
            return
        traced, keys = known
        for index in keys:
            records = self._by_key[index]
            records.remove(traced)  # the oldest stands first
            if not records:
                del self._by_key[index]


def as_context(span: SpanView, operation: Operation, identity: Identity) -> TracedSpan:
    """An exported span without its content."""
    question = last_user_text(operation.input) if operation.is_call else None
    known = Operation(
        operation.kind,
        request_model=operation.request_model,
        response_model=operation.response_model,
        response_id=operation.response_id,
        http_status=operation.http_status,
        input=[Message("user", [Text(question)])] if question and len(question) <= _LONGEST_QUESTION else None,
        output=operation.output if operation.is_call and _length(operation.output) <= _LONGEST_ANSWER else None,
        usage=operation.usage,
        streaming=operation.streaming,
        failure=None if operation.failure is None else replace(operation.failure, message=None),
        user=identity.user,
        session=identity.session,
    )
    return TracedSpan(light(span), known, exported=True)


def light(span: SpanView) -> SpanView:
    """The span without content: ids, times, scope, and the attributes that say whose it is."""
    return SpanView(
        name="",
        kind=span.kind,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        parent_is_remote=span.parent_is_remote,
        start_unix_nano=span.start_unix_nano,
        end_unix_nano=span.end_unix_nano,
        status_code=span.status_code,
        status_message=None,
        attributes=identity_attributes(span.attributes),
        events=(),
        scope_name=span.scope_name,
        scope_version="",
        resource={},
    )


def _length(messages: Sequence[Message] | None) -> int:
    """Characters of the texts of messages; a message with other parts counts as long."""
    total = 0
    for message in messages or ():
        for part in message.parts:
            total += len(part.text) if isinstance(part, Text) else 500
    return total
