"""One operation from two records of a call."""

from __future__ import annotations

from dataclasses import fields, replace

from otel_posthog._model import Operation, Usage

_NOT_SHARED = frozenset(
    ("kind", "name", "operation_name", "latency", "unmapped", "failure", "http_status", "usage", "cost", "parameters",
     "metadata", "overrides", "truncated", "input", "output", "input_state", "output_state")
)  # fmt: skip
_OF_THE_ANSWER = frozenset(("response_model", "response_id", "finish_reasons", "time_to_first_token"))


def completed(inner: Operation, outer: Operation, alone: bool = True) -> Operation:
    """``inner`` with what only ``outer`` states; the answer only if it is ``alone`` in there."""
    changes: dict[str, object] = {}
    for row in fields(Operation):
        name = row.name
        shared = name not in _NOT_SHARED and (alone or name not in _OF_THE_ANSWER)
        if shared and getattr(inner, name) in (None, [], {}):
            changes[name] = getattr(outer, name)
    for side in ("input", "output") if alone else ("input",):
        known, more = getattr(inner, side), getattr(outer, side)
        if more and (not known or inner.truncated):
            changes[side] = more
    for name in ("parameters", "metadata", "overrides"):
        if more := getattr(outer, name):
            changes[name] = {**more, **getattr(inner, name)}
    if alone:
        if inner.cost is None:
            changes["cost"] = outer.cost
        if inner.failure is not None and inner.failure.message is None and outer.failure is not None:
            changes["failure"] = replace(inner.failure, message=outer.failure.message)
        if outer.usage is not None:
            changes["usage"] = _joined(inner.usage, outer.usage)
    return replace(inner, **changes)  # type: ignore[arg-type]  # names and values are the dataclass's own


def _joined(inner: Usage | None, outer: Usage) -> Usage:
    """The inner record's counts, completed by those of the outer one."""
    if inner is None or (inner.input is None and inner.output is None):
        return outer
    changes: dict[str, object] = {}
    if inner.cache_read is None and inner.cache_write is None:
        changes["cache_inside"] = outer.cache_inside  # the rule comes with the count it is about
    if inner.reasoning is None:
        changes["reasoning_inside"] = outer.reasoning_inside
    for row in fields(Usage):
        if getattr(inner, row.name) is None and getattr(outer, row.name) is not None:
            changes[row.name] = getattr(outer, row.name)
    if inner.input is not None and inner.output is not None:
        changes.pop("total", None)  # the other total may be the sum of other counts
    return replace(inner, **changes)  # type: ignore[arg-type]  # as above
