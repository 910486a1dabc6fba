"""The recorded truth of LLM calls as facts that events can be held against.

A fact is only asked for when the call's spans or logs carry it: what no telemetry says, no exporter can know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.support import recordings
from tests.support.events import events_of
from tests.support.price_engine import adds_reasoning

Json = Any


@dataclass(frozen=True)
class Fact:
    """One thing that is true of one call: what was expected, what arrived."""

    call: int
    name: str
    right: bool
    got: Json = None


def squashed(value: Json) -> str:
    """All text of a JSON value without white space and escapes, for containment checks."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(text.replace("\\n", "").replace("\\", "").split())


def contains(where: Json, what: Json) -> bool:
    """Whether the text is somewhere in there."""
    return squashed(str(what))[:200] in squashed(where)


def tool_calls(messages: Json) -> list[tuple[str, Json]]:
    """Name and arguments of each tool call in PostHog's message shape."""
    parts = [p for m in messages or () if isinstance(m.get("content"), list) for p in m["content"]]
    return [(p["function"]["name"], p["function"]["arguments"]) for p in parts if p.get("type") == "function"]


def telemetry_of(recording: dict[str, Any], call: dict[str, Any]) -> str:
    """Everything that the spans and logs of a call say, as one text."""
    ids = set(call["span_ids_finished_during_call"])
    spans = [span for span in recording["spans"] if span["span_id"] in ids]
    logs = [log for log in recording["logs"] if log["span_id"] in ids]
    return json.dumps([spans, logs], ensure_ascii=False)


def facts_of(recording: dict[str, Any]) -> list[Fact]:
    """The facts of all calls of a recording, held against the events that its telemetry becomes."""
    events = events_of(recordings.spans_in(recording), recordings.logs_in(recording))
    found: list[Fact] = []
    for call in recording["calls"]:
        ids = call.get("span_ids_finished_during_call") or ()
        mine = [event for event in events if event["properties"].get("$ai_span_id") in ids]
        if mine and call["scenario"] != "none":  # "none": the app's own observation, without a model
            found += call_facts(call, telemetry_of(recording, call), mine)
    return found


def call_facts(call: dict[str, Any], telemetry: str, events: list[dict[str, Any]]) -> Iterator[Fact]:
    """The facts of one call, held against the events of its spans."""
    name = "$ai_embedding" if "embed" in call["api"] else "$ai_generation"
    mine = [event for event in events if event["event"] == name]
    # Some records are of a whole run: the model asks for tools, then answers. The record's truth is of the answer.
    is_run = any(event["properties"].get("$ai_span_type") == "tool" for event in events)
    if not is_run:
        yield Fact(call["i"], "counted once", len(mine) == 1, [event["event"] for event in events])
    if not mine:
        return
    properties = max(mine, key=lambda event: str(event["timestamp"]))["properties"]

    def fact(fact_name: str, right: object, got: Json = None) -> Fact:
        return Fact(call["i"], fact_name, bool(right), got)

    yield fact("provider", properties.get("$ai_provider"))
    yield fact("latency", properties.get("$ai_latency", -1) >= 0)
    asked = call.get("model_asked", "").split("/")[-1].split("@")[0]
    if asked in telemetry:
        yield fact("model", asked in properties.get("$ai_model", ""), properties.get("$ai_model"))
    yield from _asked(call, telemetry, properties)
    if call.get("http_error_served"):
        yield fact("is error", properties.get("$ai_is_error") is True)
        yield fact("error text", properties.get("$ai_error"))
        if str(call["http_error_served"]) in telemetry:
            yield fact("http status", properties.get("$ai_http_status") == call["http_error_served"])
    elif not call["error"]:
        yield fact("no false error", "$ai_is_error" not in properties, properties.get("$ai_error"))
        yield from _answered(call, telemetry, properties)


def _asked(call: dict[str, Any], telemetry: str, properties: dict[str, Any]) -> Iterator[Fact]:
    users = call.get("user") or []
    for text in [users] if isinstance(users, str) else users:
        if contains(telemetry, text):
            yield Fact(call["i"], "user text", contains(properties.get("$ai_input"), text))
    for name, texts in (("system prompt", [call.get("system")]), ("tool result", call.get("tool_results_sent") or [])):
        for text in texts:
            if text and contains(telemetry, text):
                yield Fact(call["i"], name, contains(properties.get("$ai_input"), text))
    for tool in call.get("tools") or []:
        if tool and contains(telemetry, tool) and ("parameters" in telemetry or "input_schema" in telemetry):
            yield Fact(call["i"], "tool definition", contains(properties.get("$ai_tools"), tool))
    for name, key in (
        ("temperature", "temperature"),
        ("max_tokens", "max_tokens"),
        ("max_output_tokens", "max_tokens"),
    ):
        if call.get(name) is not None and f"{key}" in telemetry and f": {call[name]}" in telemetry:
            got = properties.get(f"$ai_{key}")
            yield Fact(call["i"], key, got == call[name], got)
    if call["streaming"] and "stream" in telemetry:
        yield Fact(call["i"], "streaming", properties.get("$ai_stream") is True)


def _answered(call: dict[str, Any], telemetry: str, properties: dict[str, Any]) -> Iterator[Fact]:
    if call["scenario"] not in ("stream_nousage", "stream_break"):  # there the provider states no usage
        yield from _tokens(call, telemetry, properties)
    answer = call.get("answer")
    if answer and call["scenario"] != "stream_break" and contains(telemetry, answer):
        yield Fact(call["i"], "answer", contains(properties.get("$ai_output_choices"), answer))
    for name, arguments in call.get("tool_calls_answered") or []:
        if contains(telemetry, name) and all(contains(telemetry, value) for value in arguments.values()):
            found = tool_calls(properties.get("$ai_output_choices"))
            right = any(n == name and isinstance(a, dict) and arguments.items() <= a.items() for n, a in found)
            yield Fact(call["i"], "tool call", right, found)
    if (
        call.get("finish_meaning")
        and call["scenario"] != "stream_break"
        and any(k in telemetry for k in ("finish_reason", "stop_reason", "finishReason"))
    ):
        yield Fact(call["i"], "stop reason", properties.get("$ai_stop_reason"))


def _tokens(call: dict[str, Any], telemetry: str, properties: dict[str, Any]) -> Iterator[Fact]:
    output = call.get("output_tokens_incl_reasoning")
    if output and f": {output}" in telemetry:
        got = billed_output(properties)
        yield Fact(call["i"], "output tokens", got == output, got)
    whole = call.get("input_tokens_total_incl_cache")
    if whole and f": {whole}" in telemetry:
        got = (properties.get("$ai_input_tokens"), properties.get("$ai_cache_reporting_exclusive"))
        yield Fact(call["i"], "billed input", billed_input(properties) == whole, got)
    for name, key in (
        ("cache_read_tokens", "$ai_cache_read_input_tokens"),
        ("cache_write_tokens", "$ai_cache_creation_input_tokens"),
        ("reasoning_tokens", "$ai_reasoning_tokens"),
    ):
        if call.get(name) and f": {call[name]}" in telemetry:
            yield Fact(call["i"], name, properties.get(key) == call[name], properties.get(key))


def billed_output(properties: dict[str, Any]) -> int:
    """All output tokens as PostHog's price engine counts them: the reasoning of Gemini 2.5 and 3 on top."""
    apart = adds_reasoning(properties.get("$ai_model"))
    return int(properties.get("$ai_output_tokens") or 0) + (properties.get("$ai_reasoning_tokens") or 0) * apart


def billed_input(properties: dict[str, Any]) -> int:
    """All input tokens as PostHog's price engine counts them: the cache on top where the flag says it is outside."""
    cached = [properties.get(f"$ai_cache_{kind}_input_tokens") or 0 for kind in ("read", "creation")]
    outside = properties.get("$ai_cache_reporting_exclusive")
    return int(properties.get("$ai_input_tokens") or 0) + (sum(cached) if outside else 0)
