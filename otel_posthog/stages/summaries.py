"""What spans take from the spans around them: agents and chains from the calls below, a call from the step above."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from otel_posthog._model import Message, Operation, Text
from otel_posthog._trace import NOBODY, Identity, SpanKey, TracedSpan
from otel_posthog.conventions._providers import maker_of
from otel_posthog.stages.tree import NearestAncestor, Tree

_HOLDS_OTHERS = frozenset(("agent", "chain"))


@dataclass(slots=True)
class _Below:
    """What the spans below an agent or chain say, collected from the leaves up."""

    users: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    first: TracedSpan | None = None  # generations whose content may be sent, by start
    last: TracedSpan | None = None
    has_call: bool = False

    def add_call(self, traced: TracedSpan) -> None:
        if self.first is None or traced.span.start_unix_nano < self.first.span.start_unix_nano:
            self.first = traced
        if self.last is None or traced.span.start_unix_nano >= self.last.span.start_unix_nano:
            self.last = traced

    def add(self, other: _Below) -> None:
        # Two are enough to know that they disagree.
        self.users.update(list(other.users)[:2])
        self.sessions.update(list(other.sessions)[:2])
        self.has_call = self.has_call or other.has_call
        for traced in (other.first, other.last):
            if traced is not None:
                self.add_call(traced)


def summarise(
    tree: Tree,
    identities: dict[SpanKey, Identity],
    operation_of: Callable[[TracedSpan], Operation | None],
    has_exported_call: Callable[[TracedSpan], bool],
) -> tuple[dict[SpanKey, Operation], dict[SpanKey, Identity]]:
    """The operations and identities that change.

    - An agent or chain takes the user and session on which all spans below it agree, and, where it has no content of
      its own, the first call's question and the last call's answer (OpenAI Agents, OpenLLMetry for LangGraph).
    - An agent that states a model and tokens while no call below it was recorded is the only record of its calls
      (Claude Agent SDK): it becomes a generation, so that it is priced.
    - A call without any input takes the messages of the step around it (Mastra; a failed call of Pydantic AI); a call
      that failed without an error takes the error of that step (Mastra).
    - A call of an agent has the agent's system prompt and tools, if the library wrote them on the agent's span only
      (Strands, Microsoft's Agent Framework, AI SDK 7 before https://github.com/vercel/ai/issues/18288 was fixed).
    """
    holder_above = NearestAncestor(tree, lambda traced: _is_holder(operation_of(traced)))
    around_call = NearestAncestor(tree, lambda traced: _is_agent_or_separates(operation_of(traced)))
    below: dict[SpanKey, _Below] = {}
    changed: dict[SpanKey, Operation] = {}
    whose: dict[SpanKey, Identity] = {}
    for traced in sorted(tree.everything(), key=tree.depth, reverse=True):  # leaves first
        operation = operation_of(traced)
        if operation is None:
            continue
        own = below.pop(traced.key, None) or _Below()
        if _is_holder(operation) and not traced.exported:
            own.has_call = own.has_call or has_exported_call(traced)
            if (summary := _summary(operation, own)) is not operation:
                changed[traced.key] = operation = summary
            if (identity := _agreed(identities.get(traced.key, NOBODY), own)) is not None:
                whose[traced.key] = identity
        holder = holder_above.of(traced)
        if holder is None:
            continue
        collected = below.setdefault(holder.key, _Below())
        collected.add(own)
        _collect(collected, traced, operation, whose.get(traced.key) or identities.get(traced.key, NOBODY))
        above = operation_of(holder)
        if above is None or operation.kind != "generation" or traced.exported:
            continue
        whole = operation
        if operation.input is None and _asks_the_same(holder, above, traced, operation):
            whole = replace(operation, input=_conversation(above))
        if (agent := around_call.of(traced)) is not None and agent.span.scope_name == traced.span.scope_name:
            whole = _of_the_agent(whole, agent, operation_of(agent))
        if _lacks_error(operation) and above.failure is not None:
            whole = replace(whole, failure=above.failure)
        if whole is not operation:
            changed[traced.key] = whole
    return changed, whose


# What stands between a call and an agent whose call it is not.
_SEPARATES = frozenset(("tool", "generation", "retrieval", "guardrail", "evaluation"))


def _is_agent_or_separates(operation: Operation | None) -> bool:
    return operation is not None and (operation.kind == "agent" or operation.kind in _SEPARATES)


def _of_the_agent(call: Operation, around: TracedSpan, agent: Operation | None) -> Operation:
    """The call with the system prompt and the tools of its agent."""
    if agent is None or agent.kind != "agent" or _keeps_content(around):
        return call
    changes: dict[str, object] = {}
    if not call.tools and agent.tools:
        changes["tools"] = agent.tools
    if call.input and not any(message.role in _INSTRUCTS for message in call.input):
        prompt = [message for message in agent.input or () if message.role in _INSTRUCTS]
        if prompt:
            changes["input"] = [*prompt, *call.input]
    return replace(call, **changes) if changes else call  # type: ignore[arg-type]  # the dataclass's own fields


_INSTRUCTS = frozenset(("system", "developer"))


def _conversation(above: Operation) -> list[Message] | None:
    """What was asked around a call: messages, or a text, which is the user's."""
    if above.input or not isinstance(above.input_state, str):
        return above.input
    return [Message("user", [Text(above.input_state)])]


def _lacks_error(operation: Operation) -> bool:
    failure = operation.failure
    return operation.is_call and failure is not None and failure.type is None and failure.message is None


def _collect(collected: _Below, traced: TracedSpan, operation: Operation, identity: Identity) -> None:
    if identity.user:
        collected.users.add(identity.user)
    if identity.session:
        collected.sessions.add(identity.session)
    if operation.is_call:
        collected.has_call = True
    # Content that is off for a span must not be sent with the agent around it.
    if operation.kind == "generation" and not _keeps_content(traced):
        collected.add_call(traced)


def _keeps_content(traced: TracedSpan) -> bool:
    return traced.context is not None and traced.context.capture_content is False


def _is_holder(operation: Operation | None) -> bool:
    return operation is not None and operation.kind in _HOLDS_OTHERS


def _agreed(identity: Identity, below: _Below) -> Identity | None:
    user = next(iter(below.users)) if identity.user is None and len(below.users) == 1 else identity.user
    session = next(iter(below.sessions)) if identity.session is None and len(below.sessions) == 1 else identity.session
    if (user, session) == (identity.user, identity.session):
        return None
    return replace(identity, user=user, session=session)


def _summary(holder: Operation, below: _Below) -> Operation:
    """The holder with question and answer of the calls below; without any call below, an agent may be the call."""
    changes: dict[str, object] = {}
    first = below.first.operation if below.first is not None else None
    last = below.last.operation if below.last is not None else None
    if first is not None and first.input and holder.input is None and holder.input_state is None:
        changes["input"] = first.input
    has_output = holder.output is not None or holder.output_state is not None or holder.failure is not None
    if last is not None and last.output and not has_output:
        changes["output"] = last.output
    if holder.kind == "agent" and not below.has_call and _states_a_call(holder):
        changes["kind"] = "generation"
        changes["provider"] = holder.provider or maker_of(holder.response_model or holder.request_model)
        for side, role in (("input", "user"), ("output", "assistant")):
            state = getattr(holder, f"{side}_state")
            if getattr(holder, side) is None and isinstance(state, (str, dict)):  # an answer in JSON is a text
                text = state if isinstance(state, str) else json.dumps(state, ensure_ascii=False)
                changes[side] = [Message(role, [Text(text)])]
    return replace(holder, **changes) if changes else holder  # type: ignore[arg-type]  # the dataclass's own fields


def _states_a_call(agent: Operation) -> bool:
    usage = agent.usage
    has_model = bool(agent.request_model or agent.response_model)
    return has_model and usage is not None and bool(usage.input) and usage.output is not None


def _asks_the_same(holder: TracedSpan, above: Operation, traced: TracedSpan, call: Operation) -> bool:
    """Whether the step around a call states what the call was asked: one model step is one request; the conversation of
    an agent is that of its failed last call."""
    if _keeps_content(holder):
        return False
    if call.failure is not None and above.kind == "agent":
        return True
    return holder.span.scope_name == traced.span.scope_name and (above.kind == "chain" or call.failure is not None)
