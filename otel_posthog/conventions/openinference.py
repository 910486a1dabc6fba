"""OpenInference: ``openinference.span.kind`` and flattened ``llm.*``, ``embedding.*``, ``retrieval.*`` attributes.

Source: OpenInference semantic conventions (spec/semantic_conventions.md, spec/embedding_spans.md); instrumentations
for openai 0.1.66, anthropic 3.1, langchain 0.1.80 as recorded.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from otel_posthog._model import Cost, Json, Kind, Message, Operation
from otel_posthog._spans import SpanView
from otel_posthog.conventions._attributes import (
    Attributes,
    ConversionError,
    parse_json,
    to_number,
    to_str,
    to_str_list,
    to_structure,
)
from otel_posthog.conventions._indexed import listed, nested
from otel_posthog.conventions._langchain import messages_alone
from otel_posthog.conventions._messages import messages_of
from otel_posthog.conventions._openinference_input import is_fuller, read_input, read_tools, size, take_fuller_input
from otel_posthog.conventions._openinference_state import (
    arguments_of,
    documents_of,
    embedded_texts,
    result_of,
    value_of,
)
from otel_posthog.conventions._payloads import (
    looks_like_response,
    read_output,
    read_parameters,
    read_response,
)
from otel_posthog.conventions._providers import set_provider
from otel_posthog.conventions._reprs import is_bare_object, parse_literal, repr_value
from otel_posthog.conventions._tools import tools_in, tools_of
from otel_posthog.conventions._usage import take_usage

KINDS: dict[str, Kind] = {
    "LLM": "generation",
    "EMBEDDING": "embedding",
    "CHAIN": "chain",
    "AGENT": "agent",
    "TOOL": "tool",
    "RETRIEVER": "retrieval",
    "RERANKER": "rerank",
    "GUARDRAIL": "guardrail",
    "EVALUATOR": "evaluation",
    "PROMPT": "prompt",
    "DECISION": "generation",
}

COST: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("input", ("llm.cost.prompt",)),
    ("output", ("llm.cost.completion",)),
    ("total", ("llm.cost.total",)),
)

# Spans are named after the method that was called, which for some libraries is all that tells of streaming.
_STREAMS = re.compile(r"(?:\.(?:\w+_)?a?stream(?:_\w+)?|[a-z]Stream)$")

_FLATTENED = ("llm.input_messages.", "llm.output_messages.", "llm.token_count.")


def matches(span: SpanView) -> bool:
    """Whether the span has OpenInference's kind, or, where limits evicted it, its scope or message attributes."""
    attributes = span.attributes
    return (
        "openinference.span.kind" in attributes or span.scope_name.startswith("openinference.") or span.has(*_FLATTENED)
    )


def parse(span: SpanView, attributes: Attributes) -> Operation:
    """The operation of an OpenInference span."""
    kind = KINDS.get((attributes.take(to_str, "openinference.span.kind") or "").upper())
    if kind is None:
        kind = "generation" if "llm.model_name" in attributes or "llm.invocation_parameters" in attributes else "other"
    if kind == "generation" and (_only_prepares(attributes) or _is_part_of_a_call(span, attributes)):
        kind = "chain"
    operation = Operation(kind=kind)
    _read_call(operation, attributes)
    _read_usage(operation, attributes)
    _read_context(operation, attributes)
    if kind in ("generation", "embedding"):
        _read_content(operation, attributes)
    else:
        _read_state(operation, attributes)
    _read_first_token(operation, span)
    if operation.is_call and operation.streaming is None and _STREAMS.search(span.name):
        operation.streaming = True
    return operation


_SIGNS_OF_A_CALL = ("llm.", "embedding.", "output.value", "gen_ai.")


def _is_part_of_a_call(span: SpanView, attributes: Attributes) -> bool:
    """BeeAI 0.1 marks each chunk and each error inside a call as a call too: they have an input value only."""
    return span.parent_span_id is not None and not any(name.startswith(_SIGNS_OF_A_CALL) for name in attributes)


def _only_prepares(attributes: Attributes) -> bool:
    """LlamaIndex marks the function that makes a request as a call too: what it returns is the request."""
    if any(name.startswith(("llm.output_messages.", "llm.token_count.")) for name in attributes):
        return False
    made = parse_json(attributes.peek("output.value"))
    return isinstance(made, dict) and "messages" in made and not made.keys().isdisjoint(("tools", "tool_choice"))


def _read_first_token(operation: Operation, span: SpanView) -> None:
    """The event of LangChain's callback for the first token of a stream."""
    for event in span.events:
        if event.name == "First Token Stream Event":
            operation.streaming = True
            if event.time_unix_nano is not None and event.time_unix_nano >= span.start_unix_nano:
                operation.time_to_first_token = (event.time_unix_nano - span.start_unix_nano) / 1e9
                if event.time_unix_nano > span.end_unix_nano:
                    # LlamaIndex states the opening of the stream as its end; the call took at least until here.
                    operation.latency = operation.time_to_first_token
            return


def _read_call(operation: Operation, attributes: Attributes) -> None:
    for name in ("llm.provider", "decision.provider", "llm.system", "decision.system"):
        set_provider(operation, attributes.take(to_str, name))
    operation.response_model = attributes.take(
        to_str,
        "llm.response.model_name",
        "decision.response.model_name",
        "llm.model_name",
        "decision.model_name",
        "embedding.model_name",
        "reranker.model_name",
    )
    operation.request_model = attributes.take(to_str, "llm.request.model_name", "decision.request.model_name")
    parameters = attributes.take(parse_literal, "llm.invocation_parameters", "embedding.invocation_parameters")
    if isinstance(parameters, dict):
        operation.tools = tools_of(tools_in(parameters))
        read_parameters(operation, parameters)
    tools = listed(nested(attributes.take_prefix("llm.tools."))) or listed(attributes.take(parse_json, "llm.tools"))
    operation.tools = tools_of([_definition(tool) for tool in tools]) or operation.tools
    reason = attributes.take(to_str, "llm.finish_reason")
    operation.finish_reasons = [reason] if reason else []


def _definition(flattened: Json) -> Json:
    """A tool: its definition as JSON text, or the schema of its parameters beside its name (Pydantic AI)."""
    tool = flattened.get("tool", flattened) if isinstance(flattened, dict) else None
    if not isinstance(tool, dict):
        return None
    if "json_schema" not in tool:
        return tool
    schema = parse_json(tool.get("json_schema"))
    if not isinstance(tool.get("name"), str) or (
        isinstance(schema, dict) and ("function" in schema or "name" in schema)
    ):
        return schema
    return {"name": tool["name"], "description": tool.get("description"), "parameters": schema}


def _read_usage(operation: Operation, attributes: Attributes) -> None:
    # The last are BeeAI's.
    operation.usage = take_usage(attributes, ("llm.token_count.", "decision.token_count.", "metadata.usage."))
    amounts = {field: attributes.take(to_number, *names) for field, names in COST}
    if any(amount is not None for amount in amounts.values()):
        operation.cost = Cost(**amounts)


def _read_context(operation: Operation, attributes: Attributes) -> None:
    metadata = attributes.take(to_structure, "metadata")
    if isinstance(metadata, dict):
        operation.metadata.update(metadata)
    operation.tags = attributes.take(to_str_list, "tag.tags")
    operation.prompt_name = attributes.take(to_str, "prompt.name", "prompt.id")
    operation.prompt_version = attributes.take(parse_json, "llm.prompt_template.version")
    if operation.kind == "tool":
        operation.name = attributes.take(to_str, "tool.name")
    elif operation.kind == "agent":
        operation.name = attributes.take(to_str, "agent.name")


def _read_content(operation: Operation, attributes: Attributes) -> None:
    """Messages from the flattened attributes; the raw payload only adds what they lack."""
    listed_prompts = messages_of(attributes.take(to_str_list, "llm.prompts"))
    prompts = _texts(attributes, "llm.prompts.", "prompt", "user") or listed_prompts
    operation.input = _messages(attributes, "llm.input_messages.") or prompts
    operation.output = _messages(attributes, "llm.output_messages.") or _texts(
        attributes, "llm.choices.", "completion", "assistant"
    )
    if operation.kind == "embedding":
        operation.input = embedded_texts(attributes) or operation.input
    input = attributes.take(_any, "input.value")
    output = attributes.take(_any, "output.value")
    attributes.drop("input.mime_type", "output.mime_type")
    if operation.input is None and input is not None:
        read_input(operation, input)
    elif isinstance(input, str) and is_fuller(input, operation.input or []):
        take_fuller_input(operation, parse_json(input))
    elif operation.tools is None and isinstance(input, str) and '"tools"' in input:
        read_tools(operation, parse_json(input))
    if operation.kind == "embedding":
        return  # the output of an embedding is numbers
    if output is not None and _lacks_of_the_answer(operation):
        _read_output(operation, output)


def _lacks_of_the_answer(operation: Operation) -> bool:
    usage = operation.usage
    return operation.output is None or not operation.finish_reasons or usage is None or usage.cache_read is None


def _read_output(operation: Operation, output: Any) -> None:
    decoded = parse_json(output)
    raw = decoded.get("raw") if isinstance(decoded, dict) else None
    if looks_like_response(decoded):
        read_response(operation, decoded)
    if isinstance(raw, str) and raw[:1].isalpha():
        # smolagents: the provider's answer, as the repr of the client's object
        with suppress(ConversionError):
            read_response(operation, repr_value(raw))
    replies = decoded.get("replies") if isinstance(decoded, dict) else None
    if isinstance(replies, list) and replies and isinstance(replies[0], str) and replies[0].startswith("ChatMessage("):
        # Haystack: reprs of its messages, whose _meta is the provider's answer without its words
        with suppress(ConversionError):
            message = repr_value(replies[0])
            read_response(operation, message.get("_meta") if isinstance(message, dict) else None)
    read_output(operation, output)


def _messages(attributes: Attributes, prefix: str) -> list[Message] | None:
    found = listed(nested(attributes.take_prefix(prefix))) or listed(attributes.take(parse_json, prefix.rstrip(".")))
    messages = messages_of([_plain(item) for item in found], "user" if "input" in prefix else "assistant")
    return messages if size(messages) else None  # Portkey's have a role only


def _plain(item: Json) -> Json:
    """One flattened message in the usual shape."""
    message = item.get("message") if isinstance(item, dict) else None
    if not isinstance(message, dict):
        return item
    plain = {key: value for key, value in message.items() if key not in ("contents", "tool_calls")}
    contents = [c.get("message_content", c) if isinstance(c, dict) else c for c in listed(message.get("contents"))]
    if contents:
        plain["content"] = contents
    results = [parse_json(result) for result in listed(item.get("function"))]  # AutoGen's, beside the message
    if results and not contents:
        plain["content"] = [{"type": "tool_result", **result} for result in results if isinstance(result, dict)]
    calls = [c.get("tool_call", c) if isinstance(c, dict) else c for c in listed(message.get("tool_calls"))]
    if calls:
        plain["tool_calls"] = calls
    if "function_call_name" in plain:
        name, arguments = plain.pop("function_call_name"), plain.pop("function_call_arguments_json", None)
        plain["function_call"] = {"name": name, "arguments": arguments}
    return plain


def _texts(attributes: Attributes, prefix: str, key: str, role: str) -> list[Message] | None:
    """``llm.prompts.N.prompt.text`` and ``llm.choices.N.completion.text``: completions without roles."""
    found = [item.get(key) for item in listed(nested(attributes.take_prefix(prefix))) if isinstance(item, dict)]
    return messages_of([item["text"] for item in found if isinstance(item, dict) and "text" in item], role)


def _read_state(operation: Operation, attributes: Attributes) -> None:
    documents = documents_of(attributes, "retrieval.documents.")
    if operation.kind == "rerank":
        documents = documents_of(attributes, "reranker.output_documents.")
        query = attributes.take(to_str, "reranker.query")
        input = documents_of(attributes, "reranker.input_documents.")
        if query is not None or input is not None:
            operation.input_state = {"query": query, "documents": input}
    value = value_of(attributes, "input")
    if operation.input_state is None:
        operation.input_state = arguments_of(value) if operation.kind == "tool" else value
    answer = result_of(value_of(attributes, "output"))
    operation.output_state = documents if documents is not None else answer
    attributes.drop("input.mime_type", "output.mime_type")
    # Chains repeat the messages of the calls below them; their own input and output are elsewhere.
    input_messages = _messages(attributes, "llm.input_messages.")
    output_messages = _messages(attributes, "llm.output_messages.")
    is_conversation = operation.kind == "agent" and any(message.role == "system" for message in input_messages or ())
    if operation.input_state is None or is_conversation:
        operation.input = input_messages
    if operation.output_state is None:
        operation.output = output_messages
    if operation.kind in ("chain", "agent"):
        _turn_states_into_messages(operation)


def _turn_states_into_messages(operation: Operation) -> None:
    """States of LangGraph that hold messages alone."""
    input, output = messages_alone(operation.input_state), messages_alone(operation.output_state)
    if input:
        operation.input, operation.input_state = messages_of(input), None
    if output:
        operation.output, operation.output_state = messages_of(output), None


def _any(value: Any) -> Any:
    if value in (None, ""):
        raise ConversionError
    return None if is_bare_object(value) else value  # Groq's instrumentation for streams
