"""What a span that holds others takes from them: the user, the question and the answer, where it states none itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice

from otel_posthog._model import Operation
from otel_posthog.stages.nodes import Id, Node, ancestors_of, id_of

_HIGHEST = 100  # levels above a call that are completed from it
_HOLDS_OTHERS = frozenset(("agent", "chain"))


def summarise(sent: Iterable[Node], by_id: Mapping[Id, Node]) -> None:
    """Complete agents and chains in place, from the calls below them.

    User and session if all that is below agrees; the first call's question and the last one's answer if the span has
    no content of its own (OpenAI Agents, OpenLLMetry for LangGraph).
    """
    below: dict[Id, list[Node]] = defaultdict(list)
    for node in sorted(sent, key=lambda node: node.view.start_unix_nano):
        for ancestor in islice(ancestors_of(node, by_id), _HIGHEST):
            if ancestor.operation is not None and ancestor.operation.kind in _HOLDS_OTHERS:
                below[id_of(ancestor)].append(node)
    for holder_id, nodes in below.items():
        holder = by_id[holder_id].operation
        if holder is not None:
            _take_identity(holder, [node.operation for node in nodes if node.operation is not None])
            _take_content(holder, nodes)


def _take_identity(holder: Operation, below: list[Operation]) -> None:
    users = {operation.user for operation in below if operation.user}
    sessions = {operation.session for operation in below if operation.session}
    if holder.user is None and len(users) == 1:
        (holder.user,) = users
    if holder.session is None and len(sessions) == 1:
        (holder.session,) = sessions


def _take_content(holder: Operation, below: list[Node]) -> None:
    # What a part of the code keeps to itself must not come out through what holds it.
    calls = [node.operation for node in below
             if node.operation is not None and node.operation.kind == "generation"
             and not (node.ambient is not None and node.ambient.capture_content is False)]  # fmt: skip
    if calls and holder.input is None and holder.input_state is None:
        holder.input = calls[0].input
    if calls and holder.output is None and holder.output_state is None and holder.failure is None:
        holder.output = calls[-1].output
