"""Conversations as plain text, for a terminal, a diff or the clipboard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from otel_posthog.local.conversation import TEXT_PARTS, Block, Conversation, Message


def plain_text(conversation: Conversation) -> str:
    """The whole conversation."""
    return "\n\n".join(_message_text(message) for message in (*conversation.input, *conversation.output))


def input_text(conversation: Conversation) -> str:
    return "\n\n".join(_message_text(message) for message in conversation.input)


def output_text(conversation: Conversation) -> str:
    return "\n\n".join(_message_text(message) for message in conversation.output)


def _message_text(message: Message) -> str:
    return f"[{message.role}]\n" + "\n".join(block_texts(message.blocks))


def block_texts(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        if block.kind == "call":
            yield f"{block.name or 'tool'}({as_text(block.value)})"
            if block.result is not None:
                yield f"→ {as_text(block.result.value)}"
        elif block.kind == "result":
            yield f"→ {block.name or block.call_id or 'result'}: {as_text(block.value)}"
        elif block.kind == "reasoning":
            yield f"(reasoning) {as_text(block.value)}"
        elif block.kind == "media" and block.media is not None:
            yield f"[{block.media.label}]"
        else:
            yield as_text(block.value)


def as_text(value: Any) -> str:
    """A text as it is, anything else as JSON. Parts of text are joined."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, dict) and _is_text(item) for item in value):
        return "\n".join(item["text"] for item in value)
    return "" if value is None else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _is_text(item: dict[str, Any]) -> bool:
    return item.get("type") in TEXT_PARTS and isinstance(item.get("text"), str)
