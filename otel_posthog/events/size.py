"""Events that are too large for their endpoint, cut until they fit.

What a reader of the trace misses least goes first: attributes without a property, then the messages in the middle of a
conversation from the oldest on, then tool definitions. System prompt, last user message and answer are cut last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from otel_posthog._model import Json

_SHORT = 200  # characters that stay of a text that is cut
_ROOM = 2048  # bytes for the marks
_CONTENT = ("$ai_input", "$ai_output_choices", "$ai_input_state", "$ai_output_state", "$ai_error")
_KEPT = frozenset(("role", "type", "id", "tool_call_id", "$ai_trace_id", "$ai_span_id", "$ai_parent_id"))

Leaf = tuple[Any, Any]  # a dict or list, and the key of a text in it


def shrink(body: bytes, limit: int) -> bytes | None:
    """An encoded event of at most ``limit`` bytes, ``None`` if nothing can be cut that far.

    ``$ai_content_truncated`` marks it, and ``$ai_content_cut_bytes`` says by property how much is gone.
    """
    try:
        event = orjson.loads(body)
        properties = event["properties"]
        before = {name: _size(value) for name, value in properties.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    excess = len(body) - limit + _ROOM
    for leaves in _stages(properties):
        excess -= _cut(leaves, excess, _SHORT)
        if excess <= 0:
            break
    for name in (*(n for n in before if n not in _CONTENT), *_CONTENT):
        # Many small values: nothing in there is long enough to be cut by itself.
        if excess > 0 and not isinstance(properties.get(name), (bool, int, float)) and before.get(name, 0) > _SHORT:
            mark = f"[{before[name]:,} bytes cut]"
            excess -= _size(properties[name]) - len(mark)
            properties[name] = [{"role": "user", "content": mark}] if name in _CONTENT[:2] else mark
    cut = {name: size - _size(properties[name]) for name, size in before.items() if size > _size(properties[name])}
    properties["$ai_content_truncated"] = True
    properties["$ai_content_cut_bytes"] = dict(sorted(cut.items(), key=lambda item: -item[1])[:10])
    shrunk = orjson.dumps(event)
    return shrunk if len(shrunk) <= limit else None


def _stages(properties: dict[str, Json]) -> Iterator[list[Leaf]]:
    """The texts that may be cut, in the order in which they may."""
    yield list(_leaves({name: value for name, value in properties.items() if name not in _CONTENT}, properties))
    for side in ("$ai_input", "$ai_input_state", "$ai_output_state"):
        messages = properties.get(side)
        if isinstance(messages, list):
            for message in messages[: _last_question(messages)]:
                if not (isinstance(message, dict) and message.get("role") == "system"):
                    yield list(_leaves_of([message]))
    for side in ("$ai_input_state", "$ai_output_state"):
        yield list(_leaves({side: properties.get(side)}, properties))
    yield [leaf for name in _CONTENT for leaf in _leaves({name: properties.get(name)}, properties)]


def _last_question(messages: list[Json]) -> int:
    """Where the last user message stands, else the last one."""
    asked = [i for i, m in enumerate(messages) if isinstance(m, dict) and m.get("role") == "user"]
    return asked[-1] if asked else len(messages) - 1


def _leaves(chosen: dict[str, Json], properties: dict[str, Json]) -> Iterator[Leaf]:
    for name, value in chosen.items():
        if isinstance(value, str) and name not in _KEPT:
            yield properties, name
        elif isinstance(value, (dict, list)):
            yield from _leaves_of(value)


def _leaves_of(value: Json) -> Iterator[Leaf]:
    pairs: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in pairs:
        if isinstance(item, str):
            if len(item) > _SHORT and key not in _KEPT:
                yield value, key
        elif isinstance(item, (dict, list)):
            yield from _leaves_of(item)


def _cut(leaves: list[Leaf], excess: int, least: int) -> int:
    """Cut the longest texts to one length, ``least`` characters or more, that saves ``excess`` bytes if any does."""
    texts = [(holder, key, holder[key]) for holder, key in leaves]
    low, high = least, max((len(text) for _, _, text in texts), default=0)
    while low < high:  # the greatest length that saves enough
        middle = (low + high + 1) // 2
        if sum(_saved(text, middle) for _, _, text in texts) >= excess:
            low = middle
        else:
            high = middle - 1
    saved = 0
    for holder, key, text in texts:
        saving = _saved(text, low)
        if saving > 0:
            holder[key] = _shortened(text, low)
            saved += saving
    return saved


def _shortened(text: str, length: int) -> str:
    """The beginning and the end of a text."""
    head = length * 3 // 4
    return f"{text[:head]}… [{len(text) - length:,} characters cut] …{text[len(text) - (length - head) :]}"


def _saved(text: str, length: int) -> int:
    """Bytes, at least. A character may take up to six of them in JSON, so the sizes are measured."""
    return 0 if len(text) <= length else _size(text) - _size(_shortened(text, length))


def _size(value: Json) -> int:
    return len(orjson.dumps(value))
