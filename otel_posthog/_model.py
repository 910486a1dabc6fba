"""The neutral model: what an LLM app did, in words of no convention and no vendor.

Readers fill an :class:`Operation` from a span; ``events`` turns it into what PostHog wants. ``None`` (or an
absent key) always means "not stated": zero and empty are values.
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
    """What a model thought before it answered; ``signature`` is the provider's proof or encrypted form."""

    text: str
    signature: str | None = None


@dataclass(slots=True)
class Refusal:
    """The text with which a model refused."""

    text: str


@dataclass(slots=True)
class ToolCall:
    """A model asks for a tool. ``arguments`` are decoded where they were JSON."""

    name: str
    arguments: Json = None
    id: str | None = None


@dataclass(slots=True)
class ToolResult:
    """What a tool answered."""

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
    """A part of a shape nobody here knows, kept as it was written."""

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
    """Token counts, as the provider counted them.

    ``cache_inside`` says whether ``cache_read`` and ``cache_write`` are part of ``input``, ``reasoning_inside`` whether
    ``reasoning`` is part of ``output``. Each reader states it for its convention; it is asked nowhere else.
    """

    input: int | None = None
    output: int | None = None
    total: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    cache_inside: bool = True
    reasoning_inside: bool = True
    # Tokens by modality: ("audio", "input") -> 12
    by_modality: dict[tuple[str, str], int] = field(default_factory=dict)
    cache_read_audio: int | None = None
    web_searches: int | None = None


@dataclass(slots=True)
class Cost:
    """What the call cost in US dollars, as the instrumentation stated it."""

    input: float | None = None
    output: float | None = None
    request: float | None = None
    web_search: float | None = None
    total: float | None = None


@dataclass(slots=True)
class Failure:
    """Why the operation failed. ``status`` is the HTTP status, where something states it."""

    type: str | None = None
    message: str | None = None
    status: int | None = None


@dataclass(slots=True)
class Evaluation:
    """What somebody thinks of a span or a trace: an evaluator (``label`` or ``score``, with ``text`` as its reasons), a
    user (``text``) or a metric (``score`` or ``label``). ``target_span_id`` is lowercase hex."""

    kind: Literal["evaluation", "feedback", "metric"]
    name: str | None = None
    label: str | None = None
    score: float | None = None
    text: str | None = None
    target_span_id: str | None = None


@dataclass(slots=True)
class Operation:
    """What one span says that the app did."""

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

    # Attributes nobody claimed, and properties that the app set by their PostHog name.
    unmapped: dict[str, Json] = field(default_factory=dict)
    stated: dict[str, Json] = field(default_factory=dict)
    truncated: bool = False

    evaluation: Evaluation | None = None
    sample_rate: float | None = None  # share of such traces that is sent, where not all are

    @property
    def is_call(self) -> bool:
        """Whether this is a call of a model: only these are priced."""
        return self.kind in ("generation", "embedding")


def last_user_text(messages: Sequence[Message] | None) -> str | None:
    """The text of the last user message: what an agent was asked."""
    for message in reversed(messages or ()):
        said = "\n".join(part.text for part in message.parts if isinstance(part, Text))
        if message.role == "user" and said:
            return said
    return None
