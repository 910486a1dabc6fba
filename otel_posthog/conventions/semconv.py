"""OpenTelemetry's GenAI semantic conventions, every published generation.

Sources: semantic conventions 1.27 to 1.36 (``gen_ai.system``, ``gen_ai.*.message`` events, ``gen_ai.prompt``), 1.37 and
later (``gen_ai.provider.name``, ``gen_ai.input.messages``, ``gen_ai.client.inference.operation.details``). Other
conventions may write ``gen_ai.*`` as well: the registry parses those too, and completes the specific operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_posthog._model import Cost, Kind, Operation, Usage
from otel_posthog._spans import EventView, SpanView
from otel_posthog.conventions._attributes import (
    Attributes,
    parse_json,
    parse_quoted_json,
    to_int,
    to_number,
    to_str,
    to_str_list,
    to_structure,
)
from otel_posthog.conventions._calls import is_failed_call_without_attributes, kind_of
from otel_posthog.conventions._messages import structure_in
from otel_posthog.conventions._parts import text_in
from otel_posthog.conventions._plain import plain
from otel_posthog.conventions._providers import set_provider
from otel_posthog.conventions._semconv_messages import read_messages
from otel_posthog.conventions._semconv_tables import (
    ACTORS,
    CALL_INDEX,
    COST_INDEX,
    FINISH_REASONS,
    FIRST_TOKEN,
    KINDS,
    OTHER_TOTALS,
    PROVIDERS,
    TOOLS,
    USAGE_OBJECTS,
    USAGE_PREFIXES,
)
from otel_posthog.conventions._tools import tools_of
from otel_posthog.conventions._usage import accounting_of, merge_usage, take_usage, usage_of

# State of whatever is not a call of a model.
_INPUTS = ("gen_ai.tool.call.arguments", "gen_ai.tool.input", "gen_ai.retrieval.query.text", "gen_ai.memory.query.text",
           "gen_ai.task.input")  # fmt: skip
_OUTPUTS = ("gen_ai.tool.call.result", "gen_ai.tool.output", "gen_ai.retrieval.documents", "gen_ai.memory.records",
            "gen_ai.task.output")  # fmt: skip

DETAILS = "gen_ai.client.inference.operation.details"


def matches(span: SpanView) -> bool:
    """Whether the span carries anything of ``gen_ai.*``, or only its content in log records.

    A conversation id alone is none of it: apps set it on their server span, next to ``user.id``.
    """
    if span.has("gen_ai.") and any(n.startswith("gen_ai.") and n != "gen_ai.conversation.id" for n in span.attributes):
        return True
    if any(event.name.startswith("gen_ai.") for event in (*span.logs, *span.events)):
        return True
    return is_failed_call_without_attributes(span)


def parse(span: SpanView, attributes: Attributes, kind: Kind = "other") -> Operation:
    """The operation of a span of the GenAI semantic conventions.

    ``kind`` is what a more specific convention on the same span says, ``other`` if it does not.
    """
    on_span = frozenset(attributes.left)
    for event in (*span.events, *span.logs):
        if event.name == DETAILS:
            _merge_details(event, attributes, on_span)
    operation_name = attributes.take(to_str, "gen_ai.operation.name", "llm.request.type")
    if kind == "other":
        kind = kind_of(operation_name, span, attributes)
    operation = Operation(kind, operation_name=operation_name)
    _read_call(operation, span, attributes)
    _read_usage(operation, span, attributes)
    read_messages(operation, span, attributes)
    if not operation.is_call:
        operation.input_state = attributes.take(parse_quoted_json, *_INPUTS)
        operation.output_state = attributes.take(parse_quoted_json, *_OUTPUTS)
        if kind == "tool":
            _tool_events(operation)
    return operation


def _merge_details(event: EventView, attributes: Attributes, on_span: frozenset[str]) -> None:
    """The details event repeats the span's attributes and adds the content the span may not carry.

    Strands spreads its messages over several of them.
    """
    body = event.body if isinstance(event.body, Mapping) else {}
    for name, value in (*event.attributes.items(), *body.items()):
        if not isinstance(name, str) or not name.startswith("gen_ai.") or value is None or name in on_span:
            continue
        before, more = attributes.left.get(name), plain(value)
        if before is None:
            attributes.left[name] = more
        elif name in ("gen_ai.input.messages", "gen_ai.output.messages"):
            known, added = parse_json(before), parse_json(more)
            if isinstance(known, list) and isinstance(added, list):
                attributes.left[name] = [*known, *(message for message in added if message not in known)]


def _read_call(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    for name in PROVIDERS:
        set_provider(operation, attributes.take(to_str, name))
    for (target, name), value in attributes.take_all(CALL_INDEX).items():
        if target == "parameter":
            operation.parameters[name] = value
        else:
            setattr(operation, name, value)
    _read_first_token(operation, span, attributes)
    operation.finish_reasons = attributes.take(to_str_list, *FINISH_REASONS) or []
    attributes.drop(*FINISH_REASONS)
    actor = attributes.peek(ACTORS.get(operation.kind, ""))
    operation.name = actor if isinstance(actor, str) and actor else None
    operation.tools = tools_of(attributes.take(structure_or_prefix, *TOOLS))
    attributes.drop("gen_ai.tool.definitions")


def model_in_name(name: str) -> str | None:
    """The spec's span name is "{operation} {model}": the model, where attribute limits took the attribute."""
    operation, _, model = name.partition(" ")
    return model if operation in KINDS and model and " " not in model else None


def _read_first_token(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    """Seconds to the first chunk. Strands writes milliseconds; OpenLIT writes it for calls that did not stream."""
    if operation.streaming is None and "gen_ai.client.operation.time_to_first_chunk" in attributes:
        operation.streaming = True  # Pydantic AI and the AI SDK write it for streams alone
    seconds = attributes.take(to_number, *FIRST_TOKEN)
    at_server = attributes.take(to_number, "gen_ai.server.time_to_first_token")
    if seconds is None and at_server is not None:
        seconds = at_server / 1000 if span.scope_name.startswith("strands.") else at_server
    if seconds is not None and seconds >= 0:
        operation.time_to_first_token = seconds


def _read_usage(operation: Operation, span: SpanView, attributes: Attributes) -> None:
    usage = operation.usage = take_usage(attributes, USAGE_PREFIXES)
    accounting = accounting_of(span.scope_name)
    usage.cache_inside, usage.reasoning_inside = accounting.cache_inside, accounting.reasoning_inside
    if usage.total is None:
        usage.total = attributes.take(to_int, *OTHER_TOTALS)
    details = attributes.take(to_structure, *USAGE_OBJECTS)
    if isinstance(details, dict):
        merge_usage(operation, usage_of(details))
    amounts = attributes.take_all(COST_INDEX)
    if not amounts:
        return
    cost = Cost(**amounts)
    if cost.total == 0 and usage.input is None and usage.output is None:
        return  # Pydantic AI 1.39: the price of tokens that it did not count
    if span.scope_name.startswith("openlit.") and _is_an_estimate(cost, usage):
        # OpenLIT prices cached tokens in full, and a model it does not know at 0: PostHog's own price is truer.
        attributes.left["gen_ai.usage.cost"] = cost.total
        return
    operation.cost = cost


def _is_an_estimate(cost: Cost, usage: Usage) -> bool:
    return not cost.total or bool(usage.cache_read or usage.cache_write)


def structure_or_prefix(value: Any) -> Any:
    """An object or a list, or what an attribute limit left of it."""
    return to_structure(structure_in(value)[0] if isinstance(value, str) else value)


def _tool_events(operation: Operation) -> None:
    """Strands writes a tool's arguments and answer as a tool message and a choice."""
    if operation.input_state is None and operation.input:
        parts = operation.input[-1].parts
        operation.input_state = parse_json(getattr(parts[0], "result", None)) if parts else None
        operation.input = None
    if operation.output_state is None and operation.output:
        operation.output_state = text_in([p.text for m in operation.output for p in m.parts if hasattr(p, "text")])
        operation.output = None
