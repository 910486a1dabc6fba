"""The neutral model: what an LLM app did, independent of any convention or vendor.

A reader parses a span into an :class:`Operation`; ``events`` turns it into a PostHog event. ``None`` (or an absent key)
means "unknown": zero and empty are values. Once parsed, an operation is never changed, only replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = Any

Kind = Literal[
    "generation",
    "embedding",
    "tool",
    "agent",
    "chain",
    "retrieval",
    "rerank",
    "guardrail",
    "prompt",
    "evaluation",
    "other",
]


@dataclass(slots=True)
class Text:
    """Plain text."""

    text: str


@dataclass(slots=True)
class Reasoning:
    """Reasoning before the answer; ``signature`` is the provider's signature of it, or its encrypted form."""

    text: str
    signature: str | None = None


@dataclass(slots=True)
class Refusal:
    """The text of a model's refusal."""

    text: str


@dataclass(slots=True)
class ToolCall:
    """A tool call by the model. ``arguments`` are decoded if they were JSON. ``server``: the provider runs the tool."""

    name: str
    arguments: Json = None
    id: str | None = None
    server: bool = False


@dataclass(slots=True)
class ToolResult:
    """The result of a tool call."""

    result: Json
    id: str | None = None
    name: str | None = None


@dataclass(slots=True)
class Media:
    """An image, audio, video or file: by ``url`` (may be a data URL), by base64 ``data`` or by ``file_id``."""

    modality: str
    mime_type: str | None = None
    url: str | None = None
    data: str | None = None
    file_id: str | None = None
    filename: str | None = None
    extra: dict[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class Other:
    """A part of an unknown shape, unchanged."""

    value: Json


Part = Text | Reasoning | Refusal | ToolCall | ToolResult | Media | Other


@dataclass(slots=True)
class Message:
    """One message. ``role`` is ``user``, ``system``, ``assistant`` or ``tool`` (others are kept)."""

    role: str
    parts: list[Part]
    name: str | None = None
    finish_reason: str | None = None
    extra: dict[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class Tool:
    """A tool the model may use; ``parameters`` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: Json = None
    extra: dict[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class Usage:
    """Token counts as they were recorded.

    ``cache_inside``: ``cache_read`` and ``cache_write`` are part of ``input``. ``reasoning_inside``: ``reasoning`` is
    part of ``output``. Each reader decides both for its convention.
    """

    input: int | None = None
    output: int | None = None
    total: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    uncached: int | None = None  # input without the cache, where that is recorded as well
    reasoning: int | None = None
    cache_inside: bool = True
    reasoning_inside: bool = True
    # Tokens by modality: ("audio", "input") -> 12
    by_modality: dict[tuple[str, str], int] = field(default_factory=dict)
    cache_read_audio: int | None = None
    web_searches: int | None = None


@dataclass(slots=True)
class Cost:
    """Cost of the call in US dollars, as recorded by the instrumentation."""

    input: float | None = None
    output: float | None = None
    request: float | None = None
    web_search: float | None = None
    total: float | None = None


@dataclass(slots=True)
class Failure:
    """Why the operation failed. ``status`` is the HTTP status, if known."""

    type: str | None = None
    message: str | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A judgement of a span or a trace: by an evaluator (``label`` or ``score``, explained in ``text``), by a user
    (``text``) or as a metric (``score`` or ``label``)."""

    name: str | None = None
    label: str | None = None
    score: float | None = None
    text: str | None = None
    response_id: str | None = None
    user: str | None = None
    session: str | None = None
    groups: Mapping[str, Json] | None = None
    overrides: Mapping[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class Operation:
    """What an app did, according to one span."""

    kind: Kind
    name: str | None = None
    operation_name: str | None = None
    framework: str | None = None

    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    base_url: str | None = None
    request_url: str | None = None
    http_status: int | None = None

    # Messages for generations; any JSON state for everything else (and for completions without roles).
    input: list[Message] | None = None
    output: list[Message] | None = None
    input_state: Json = None
    output_state: Json = None
    tools: list[Tool] | None = None
    parameters: dict[str, Json] = field(default_factory=dict)

    usage: Usage | None = None
    cost: Cost | None = None
    streaming: bool | None = None
    time_to_first_token: float | None = None  # seconds
    latency: float | None = None  # seconds; None: end - start of the span
    finish_reasons: list[str] = field(default_factory=list)
    failure: Failure | None = None

    user: str | None = None
    session: str | None = None
    groups: Mapping[str, Json] | None = None
    prompt_name: str | None = None
    prompt_version: Json = None
    tags: list[str] | None = None
    metadata: dict[str, Json] = field(default_factory=dict)

    # Attributes that no reader understood, and properties that the app set by their PostHog name.
    unmapped: dict[str, Json] = field(default_factory=dict)
    overrides: dict[str, Json] = field(default_factory=dict)
    truncated: bool = False

    @property
    def is_call(self) -> bool:
        """Whether this is a call of a model: only these are priced."""
        return self.kind in ("generation", "embedding")


def last_user_text(messages: Sequence[Message] | None) -> str | None:
    """The text of the last user message."""
    for message in reversed(messages or ()):
        text = "\n".join(part.text for part in message.parts if isinstance(part, Text))
        if message.role == "user" and text:
            return text
    return None
