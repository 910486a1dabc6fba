"""Messages in span events and log records: ``gen_ai.*.message`` and ``gen_ai.choice``.

Source: semantic conventions 1.27 to 1.36, "GenAI events".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otel_posthog._model import Message, ToolResult
from otel_posthog._spans import EventView
from otel_posthog.conventions._attributes import parse_json
from otel_posthog.conventions._messages import holds_messages, message_of
from otel_posthog.conventions._parts import append_part
from otel_posthog.conventions._plain import plain

# One event per message, the role in its name.
_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}


def legacy_messages(events: Sequence[EventView]) -> tuple[list[Message], list[Message]]:
    """Input and output messages.

    The content is in the body of log records and in the attributes of span events, there as JSON text.
    """
    input: list[Message] = []
    output: list[Message] = []
    for event in events:
        role = _ROLES.get(event.name)
        if role is None and event.name != "gen_ai.choice":
            continue
        # Semantic Kernel writes through Python's logging, whose records have a text: JSON of the body.
        written = parse_json(event.body) if isinstance(event.body, str) else event.body
        body = plain(written) if isinstance(written, Mapping) else _body_of(event.attributes)
        if role is None:
            message = message_of(_choice(dict(body)), "assistant")
            if message is not None and (message.parts or message.finish_reason):
                _add_choice(output, message)
        else:
            message = message_of({"role": role, **body}, role)
            if message is not None and message.parts and not _is_empty(message):
                input.append(message)
    return input, output


def _add_choice(output: list[Message], message: Message) -> None:
    """Append a choice; a choice without a finish reason is a chunk of the next one (google-genai 0.3b0)."""
    if not output or output[-1].finish_reason is not None:
        output.append(message)
        return
    for part in message.parts:
        append_part(output[-1].parts, part)
    output[-1].finish_reason = message.finish_reason


def _is_empty(message: Message) -> bool:
    """Whether content capture was off: there are roles and ids only."""
    return all(isinstance(p, ToolResult) and p.result is None for p in message.parts)


def _body_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The body from a span event's attributes. A JSON text is decoded only if it holds messages or their parts: it may
    be what the user or the model wrote."""
    body: dict[str, Any] = {}
    for name, attribute in attributes.items():
        if name.startswith("gen_ai.") or name == "event.name":
            continue
        value = plain(attribute)
        structure = parse_json(value)
        if structure not in ([], {}):  # what Strands for JavaScript writes of a refusal
            body[name] = structure if name == "tool_calls" or holds_messages(structure) else value
    # Semantic Kernel and the Azure SDK put the whole message, as JSON text, into this attribute.
    content = parse_json(attributes.get("gen_ai.event.content"))
    if isinstance(content, dict):
        body.update(content)
    elif content is not None:
        body["content"] = content
    return body


def _choice(body: dict[str, Any]) -> dict[str, Any]:
    """A choice as a message: its ``message`` may be an object or bare text (Strands)."""
    message = body.pop("message", None)
    if isinstance(message, Mapping):
        return {"role": "assistant", **message, **{k: v for k, v in body.items() if k not in message}}
    if message is not None:
        body["content"] = message
    return {"role": "assistant", **body}
