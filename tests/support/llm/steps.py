"""A call of a real client to the fake LLM: what to do, what the app saw, what the record says.

The records have the shape of the recordings' ``calls``.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .scenarios import BY_NAME, Scenario, Usage

Json = Any
Record = dict[str, Any]
SpanIds = Callable[[], Iterable[str]]
"""Gives the ids of the spans that have ended: all of them, or those since it was last asked."""

_PNG_BODY = "AAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
PIXEL = f"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ{_PNG_BODY}"
"""A red pixel, PNG in base64."""

WEATHER_TOOL = {
    "name": "get_weather",
    "description": "Get the current weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "City name"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city"],
    },
}
PERSON_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "birth_year": {"type": "integer"}},
    "required": ["name", "birth_year"],
    "additionalProperties": False,
}
NO_SERVER = "http://127.0.0.1:9"
"""The discard port: nothing listens there."""


@dataclass(frozen=True)
class Step:
    """One call. ``name`` selects it; ``options`` are the parameters, as a record names them."""

    scenario: Scenario
    provider: str
    api: str
    model: str
    options: Mapping[str, Json] = field(default_factory=dict)
    streaming: bool = False
    name: str = ""
    note: str | None = None

    @property
    def is_async(self) -> bool:
        return "async" in self.api or self.api.startswith("aio ")

    @property
    def has_server(self) -> bool:
        return self.name != "refused"


@dataclass(frozen=True)
class Seen:
    """What the app got from the client, in neutral words; ``finish`` as in ``Scenario``."""

    answers: tuple[str, ...] = ()
    tool_calls: tuple[tuple[str, Json], ...] = ()
    finish: str | None = None
    usage: Usage | None = None
    thinking: str | None = None
    refusal: str | None = None
    vectors: tuple[Sequence[float], ...] = ()


Call = Callable[[Step], Seen]


def step_maker(provider: str, api: str) -> Callable[..., Step]:
    """Makes the steps of one API from scenario names."""

    def make(scenario: str, model: str, **more: Json) -> Step:
        given: dict[str, Json] = {"provider": provider, "api": api, "name": scenario, **more}
        return Step(scenario=BY_NAME[scenario], model=model, **given)

    return make


def run(
    steps: Iterable[Step],
    call: Call,
    names: Iterable[str] | None = None,
    finished_span_ids: SpanIds | None = None,
) -> list[Record]:
    """Make the calls one after the other; errors of the provider are part of the records."""
    wanted = None if names is None else set(names)
    chosen = [step for step in steps if wanted is None or step.name in wanted]
    span_ids = finished_span_ids or (lambda: ())
    gc.collect()
    gc.freeze()  # a client is a hundred thousand objects, and each call collects
    return [_record(i, step, call, span_ids) for i, step in enumerate(chosen)]


def _record(i: int, step: Step, call: Call, span_ids: SpanIds) -> Record:
    record: Record = {"i": i, **_truth(step)}
    earlier = set(span_ids())
    record["start_unix_nano"] = time.time_ns()
    try:
        call(step)
    except Exception as error:  # whatever a client raises is what the app sees
        kind = type(error)
        record["exception_seen_by_app"] = f"{kind.__module__}.{kind.__qualname__}: {error}"
    # A stream that was left early closes when it is collected. Now, because httpcore deadlocks where that happens
    # during the next call, under the lock of its pool.
    gc.collect()
    record["end_unix_nano"] = time.time_ns()
    record["error"] = "exception_seen_by_app" in record
    finished = [span_id for span_id in span_ids() if span_id not in earlier]
    record["span_ids_finished_during_call"] = finished
    return record


def _truth(step: Step) -> Record:
    """What is known of a call before it is made; what there is none of is left out."""
    scenario = step.scenario
    truth: Record = {
        "provider": step.provider,
        "api": step.api,
        "scenario": scenario.name,
        "model_asked": step.model,
        "system": scenario.system,
        "history": [list(turn) for turn in scenario.history] or None,
        "user": list(scenario.inputs) or scenario.user,
    }
    if scenario.status is None:
        truth |= _answer(scenario)
    usage = scenario.usage
    truth |= {
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write,
        "reasoning_tokens": usage.reasoning,
        "http_error_served": scenario.status,
        "streaming": step.streaming,
        "note": step.note,
        **step.options,
    }
    return {key: value for key, value in truth.items() if value is not None}


def _answer(scenario: Scenario) -> Record:
    if scenario.inputs:
        return {"input_tokens_total_incl_cache": scenario.usage.input}
    calls = [[call.name, dict(call.arguments)] for call in scenario.tool_calls]
    return {
        "answer": None if calls or scenario.refusal else scenario.answer,
        "refusal": scenario.refusal,
        "answers_other": list(scenario.other_answers) or None,
        "tool_calls_answered": calls or None,
        "tool_results_sent": list(scenario.tool_results) or None,
        "finish_meaning": scenario.finish,
        "thinking": scenario.thinking,
        "input_tokens_total_incl_cache": scenario.usage.input,
        "output_tokens_incl_reasoning": scenario.usage.output,
    }


def expected(step: Step) -> Seen:
    """What the app must see: the script, less what that API does not tell."""
    scenario = step.scenario
    silent = scenario.tool_calls or scenario.refusal
    usage = scenario.usage
    if step.provider == "anthropic":  # thinking is inside the output tokens, uncounted
        usage = replace(usage, reasoning=0)
    return Seen(
        answers=() if silent else tuple(answer for answer in scenario.answers if answer),
        tool_calls=tuple((call.name, dict(call.arguments)) for call in scenario.tool_calls),
        finish=scenario.finish,
        usage=None if scenario.name == "stream_nousage" else usage,
        # Chat completions keep the thoughts to themselves.
        thinking=None if step.api.startswith("chat.completions") else scenario.thinking,
        refusal=scenario.refusal,
    )
