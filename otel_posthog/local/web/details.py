"""One event: its conversation, numbers, provenance and raw form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from otel_posthog.local import catalogue
from otel_posthog.local.conversation import Conversation, conversation_of
from otel_posthog.local.explanation import Explanation, explanation_of
from otel_posthog.local.facts import Facts
from otel_posthog.local.findings import Finding, findings_of
from otel_posthog.local.prices import Cost, cost_of, table_version
from otel_posthog.local.store import Store, StoredEvent
from otel_posthog.local.transcript import block_texts
from otel_posthog.local.web.render import NEXT_PIECE, is_fragment, render, render_page, store_of, text_view

_PARAMETERS = ("$ai_temperature", "$ai_max_tokens", "$ai_stream", "$ai_stop_reason", "$ai_http_status", "$ai_base_url",
               "$ai_request_url", "$ai_response_id", "$ai_prompt_name", "$ai_prompt_version", "$ai_framework",
               "$ai_span_type")  # fmt: skip
# Shown in views of their own.
_ELSEWHERE = frozenset({"$ai_input", "$ai_output_choices", "$ai_output", "$ai_input_state", "$ai_output_state",
                        "$ai_tools"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Details:
    """Everything that the page says about an event. ``judgements`` are about it."""

    facts: Facts
    event: StoredEvent
    conversation: Conversation
    parameters: dict[str, Any]
    properties: dict[str, Any]
    cost: Cost | None
    prices: str
    findings: list[Finding]
    explanation: Explanation | None
    judgements: list[Facts]


def details_of(store: Store, facts: Facts) -> Details | None:
    event = store.event(facts.seq)
    if event is None:
        return None
    properties = event["properties"]
    parameters = {
        name.removeprefix("$ai_"): properties[name] for name in _PARAMETERS if properties.get(name) is not None
    }
    own = properties.get("$ai_model_parameters")
    if isinstance(own, dict):
        parameters = {**{str(name): value for name, value in own.items()}, **parameters}
    judgements = [] if facts.is_judgement else catalogue.judgements(store, facts)
    return Details(
        facts,
        event,
        conversation_of(properties),
        parameters,
        dict(sorted((name, value) for name, value in properties.items() if name not in _ELSEWHERE)),
        cost_of(facts.kind, properties),
        table_version(),
        findings_of(event, catalogue.doubles(store, facts)),
        explanation_of(store.explanation(facts.seq), properties),
        judgements,
    )


def details_page(request: Request) -> Response:
    """The details alone; in a page of their own where no script asks for them."""
    store = store_of(request)
    facts = catalogue.event(store, _seq(request))
    details = None if facts is None else details_of(store, facts)
    if details is None:
        return render_page(request, "missing.html", 404, title="No such event", what=_seq(request))
    if is_fragment(request):
        return render(request, "details.html", details=details)
    return render_page(request, "event.html", title=details.facts.name or "Event", details=details)


def details_text(request: Request) -> Response:
    """A piece of a long text inside an event, found by its JSON pointer."""
    event = request.app.state.store.event(_seq(request))
    offset = request.query_params.get("offset", "0")
    pointer = request.query_params.get("pointer", "")
    if event is None or not offset.isdecimal():
        return PlainTextResponse("no such text", 404)
    try:
        value = _at(event["properties"], pointer)
    except (KeyError, IndexError, ValueError, TypeError):
        return PlainTextResponse("no such text", 404)
    return render(request, "piece.html", piece=text_view(value, _seq(request), pointer, int(offset[:12]), NEXT_PIECE))


def details_message(request: Request) -> Response:
    """A message of an event as plain text, found by its JSON pointer."""
    event = request.app.state.store.event(_seq(request))
    pointer = request.query_params.get("pointer", "")
    talk = None if event is None else conversation_of(event["properties"])
    found = [] if talk is None else [message for message in (*talk.input, *talk.output) if message.pointer == pointer]
    if not found:
        return PlainTextResponse("no such message", 404)
    return PlainTextResponse("\n".join(block_texts(found[0].blocks)))


def details_raw(request: Request) -> Response:
    """The event as JSON, as the capture endpoint took it."""
    event = request.app.state.store.event(_seq(request))
    if event is None:
        return PlainTextResponse("no such event", 404)
    keys = ("event", "distinct_id", "uuid", "timestamp", "properties")
    return PlainTextResponse(orjson.dumps({key: event[key] for key in keys}, option=orjson.OPT_INDENT_2))


def _at(value: Any, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901); a text that holds JSON is entered too."""
    for step in pointer.split("/")[1:]:
        if isinstance(value, str):
            value = orjson.loads(value)
        step = step.replace("~1", "/").replace("~0", "~")
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def _seq(request: Request) -> int:
    value = request.query_params.get("seq", "")
    return int(value) if value.isdecimal() and len(value) < 16 else 0
