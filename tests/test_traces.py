"""The tree without holes, users from above, and calls that two instrumentations recorded."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan

from tests.support.events import events_of
from tests.support.made import START, TRACE_ID, made_span

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
HTTP = {"http.request.method": "POST"}


def id_of(number: int) -> str:
    return format(number, "016x")


def span(number: int, parent: int | None, attributes: dict[str, Any], **more: Any) -> ReadableSpan:
    parent_id = None if parent is None else id_of(parent)
    return made_span(attributes=attributes, span_id=id_of(number), parent_id=parent_id, **more)


def by_id(spans: list[ReadableSpan]) -> dict[str, dict[str, Any]]:
    events = events_of(spans)
    return {event["properties"]["$ai_span_id"]: event for event in events if "$ai_span_id" in event["properties"]}


def parent_of(spans: list[ReadableSpan], number: int) -> Any:
    return by_id(spans)[id_of(number)]["properties"].get("$ai_parent_id")


def test_spans_that_are_not_sent_are_passed_over() -> None:
    spans = [span(4, 3, CHAT), span(3, 2, HTTP), span(2, 1, AGENT), span(1, None, HTTP)]
    assert parent_of(spans, 4) == id_of(2)
    assert parent_of(spans, 2) == TRACE_ID
    assert set(by_id(spans)) == {id_of(2), id_of(4)}


def test_a_parent_that_is_not_at_hand_is_kept() -> None:
    assert parent_of([span(2, 1, CHAT)], 2) == id_of(1)


def test_user_and_session_come_from_the_nearest_ancestor() -> None:
    spans = [
        span(3, 2, CHAT),
        span(2, 1, {"user.id": "near"}),
        span(1, None, {**HTTP, "user.id": "far", "session.id": "s1"}),
    ]
    event = by_id(spans)[id_of(3)]
    assert event["distinct_id"] == "near"
    assert event["properties"]["$ai_session_id"] == "s1"


def test_a_span_of_its_own_user_keeps_it() -> None:
    spans = [span(2, 1, {**CHAT, "user.id": "own"}), span(1, None, {"user.id": "far"})]
    assert by_id(spans)[id_of(2)]["distinct_id"] == "own"


def test_a_call_inside_a_call_counts_once() -> None:
    outer = {
        **CHAT,
        "gen_ai.usage.input_tokens": 31,
        "gen_ai.prompt.name": "greeting",
        "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]',
        "operation.cost": 0.5,
    }
    inner = {**CHAT, "gen_ai.usage.input_tokens": 31, "gen_ai.usage.output_tokens": 8}
    events = by_id([span(2, 1, inner, scope="sdk"), span(1, None, outer, scope="framework")])
    wrapper, call = events[id_of(1)], events[id_of(2)]
    assert call["event"] == "$ai_generation"
    assert call["properties"]["$ai_input"] == [{"role": "user", "content": "hi"}]
    assert call["properties"]["$ai_prompt_name"] == "greeting"
    assert call["properties"]["$ai_total_cost_usd"] == 0.5
    assert call["properties"]["$ai_output_tokens"] == 8
    assert wrapper["event"] == "$ai_trace"
    assert not [name for name in wrapper["properties"] if "tokens" in name or "cost" in name]


def test_three_records_of_one_call_count_once() -> None:
    spans = [span(n, n - 1 or None, {**CHAT, "gen_ai.usage.input_tokens": 31}) for n in (3, 2, 1)]
    assert [event["event"] for event in events_of(spans)] == ["$ai_generation", "$ai_span", "$ai_trace"]


def test_retries_inside_a_call_all_count() -> None:
    spans = [span(3, 1, CHAT), span(2, 1, CHAT), span(1, None, CHAT)]
    assert [event["event"] for event in events_of(spans)] == ["$ai_generation", "$ai_generation", "$ai_trace"]


def test_a_retry_is_not_given_the_answer_of_the_other() -> None:
    outer = {**CHAT, "gen_ai.usage.input_tokens": 31, "gen_ai.usage.output_tokens": 8, "gen_ai.prompt.name": "greeting"}
    failed, right = span(2, 1, {**CHAT, "error.type": "429"}), span(3, 1, {**CHAT, "gen_ai.usage.output_tokens": 8})
    events = by_id([failed, right, span(1, None, outer)])
    assert "$ai_output_tokens" not in events[id_of(2)]["properties"]
    assert events[id_of(2)]["properties"]["$ai_prompt_name"] == "greeting"


def test_a_call_that_a_tool_makes_is_another_call() -> None:
    spans = [span(3, 2, CHAT), span(2, 1, TOOL), span(1, None, CHAT)]
    assert [event["event"] for event in events_of(spans)] == ["$ai_generation", "$ai_span", "$ai_generation"]


def test_calls_below_one_agent_all_stay() -> None:
    spans = [span(3, 1, CHAT), span(2, 1, CHAT), span(1, None, AGENT)]
    assert [event["event"] for event in events_of(spans)] == ["$ai_generation", "$ai_generation", "$ai_trace"]


QUESTION = '[{"role": "user", "parts": [{"type": "text", "content": "%s"}]}]'


OTHER_TRACE = "1" * 32


def within(attributes: dict[str, Any], duration: float = 0.5) -> ReadableSpan:
    """A record of another instrumentation, in a trace of its own, a millisecond after span 1 began."""
    return made_span(
        attributes=attributes, trace_id=OTHER_TRACE, span_id=id_of(2), scope="openai", start=START + 1_000_000,
        duration=duration,
    )  # fmt: skip


def twins(question: str = "hi", other: str = "hi", **inner: Any) -> list[str]:
    one = {**CHAT, "gen_ai.input.messages": QUESTION % question, "gen_ai.usage.input_tokens": 31}
    two = {**CHAT, "gen_ai.input.messages": QUESTION % other, **inner}
    outer = span(1, None, one, scope="langchain", duration=1.0)
    return [event["event"] for event in events_of([within(two), outer])]


def test_the_same_call_in_two_traces_counts_once() -> None:
    assert twins() == ["$ai_generation", "$ai_trace"]


def test_a_record_in_a_trace_of_its_own_is_shown_where_the_call_was_made() -> None:
    asked = {**CHAT, "gen_ai.input.messages": QUESTION % "hi", "gen_ai.usage.input_tokens": 31}
    agent = span(3, None, AGENT, scope="langchain", duration=2.0)
    events = by_id([within(asked), span(1, 3, asked, scope="langchain", duration=1.0), agent])
    inner = events[id_of(2)]["properties"]
    assert (inner["$ai_trace_id"], inner["$ai_parent_id"]) == (TRACE_ID, id_of(1))
    assert events[id_of(2)]["distinct_id"] == events[id_of(3)]["distinct_id"]


def test_an_agent_without_content_has_the_question_and_the_answer_of_its_calls() -> None:
    first = {**CHAT, "gen_ai.input.messages": QUESTION % "Where?", "user.id": "ada", "session.id": "s1"}
    answer = '[{"role": "assistant", "parts": [{"type": "text", "content": "There."}]}]'
    last = {**CHAT, "gen_ai.output.messages": answer}
    spans = [span(2, 1, first), span(3, 1, last, start=START + 10), span(1, None, AGENT)]
    agent = by_id(spans)[id_of(1)]
    assert (agent["distinct_id"], agent["properties"]["$ai_session_id"]) == ("ada", "s1")
    assert agent["properties"]["$ai_input_state"] == [{"role": "user", "content": "Where?"}]
    assert agent["properties"]["$ai_output_state"] == [{"role": "assistant", "content": "There."}]


def test_an_agent_that_worked_for_two_users_is_neithers() -> None:
    spans = [span(2, 1, {**CHAT, "user.id": "ada"}), span(3, 1, {**CHAT, "user.id": "grace"}), span(1, None, AGENT)]
    assert by_id(spans)[id_of(1)]["distinct_id"] == TRACE_ID


def test_a_user_that_an_ancestor_states_in_its_own_way_is_inherited() -> None:
    workflow = {"traceloop.span.kind": "workflow", "traceloop.association.properties.user_id": "ada"}
    assert by_id([span(2, 1, TOOL), span(1, None, workflow)])[id_of(2)]["distinct_id"] == "ada"


def test_a_record_that_says_nothing_is_the_second_one() -> None:
    asked = {**CHAT, "gen_ai.input.messages": QUESTION % "hi", "gen_ai.usage.input_tokens": 31}
    events = by_id([within(CHAT), span(1, None, asked, scope="langchain", duration=1.0)])
    assert events[id_of(1)]["event"] == "$ai_generation"
    assert events[id_of(2)]["event"] == "$ai_trace"


def test_records_of_two_users_are_two_calls() -> None:
    asked = {**CHAT, "gen_ai.input.messages": QUESTION % "hi", "gen_ai.usage.input_tokens": 31}
    for mine, others in (({"user.id": "ada"}, {"user.id": "grace"}), ({"session.id": "1"}, {"session.id": "2"})):
        spans = [within({**asked, **others}), span(1, None, {**asked, **mine}, scope="langchain", duration=1.0)]
        assert [event["event"] for event in events_of(spans)] == ["$ai_generation"] * 2
    silent = [within(CHAT), span(1, None, {**asked, "user.id": "ada"}, scope="langchain", duration=1.0)]
    assert [event["event"] for event in events_of(silent)] == ["$ai_generation"] * 2


def test_a_record_of_the_beginning_of_a_stream_is_the_second_one() -> None:
    begun = {**CHAT, "gen_ai.request.stream": True, "gen_ai.input.messages": QUESTION % "hi"}
    whole = {**begun, "gen_ai.usage.input_tokens": 31}
    events = by_id([span(1, None, begun, scope="mlflow", duration=0.1), within(whole, duration=3.0)])
    assert (events[id_of(1)]["event"], events[id_of(2)]["event"]) == ("$ai_trace", "$ai_generation")
    assert "$ai_input_tokens" not in events[id_of(1)]["properties"]


def test_a_record_without_a_model_needs_the_same_provider() -> None:
    inner = {**CHAT, "gen_ai.provider.name": "openai", "gen_ai.usage.input_tokens": 31}
    for provider, kinds in (("openai", ["$ai_generation", "$ai_trace"]), ("anthropic", ["$ai_generation"] * 2)):
        outer = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": provider, "gen_ai.usage.input_tokens": 31}
        spans = [within(inner), span(1, None, outer, name="openai.chat", scope="langchain")]
        assert [event["event"] for event in events_of(spans)] == kinds


def test_other_words_or_numbers_are_another_call() -> None:
    assert twins(other="bye") == ["$ai_generation", "$ai_generation"]
    assert twins(**{"gen_ai.usage.input_tokens": 30}) == ["$ai_generation", "$ai_generation"]
    assert twins(**{"gen_ai.request.model": "gpt-4.1"}) == ["$ai_generation", "$ai_generation"]


def test_parallel_calls_of_one_instrumentation_all_count() -> None:
    spans = [span(n, None, {**CHAT, "gen_ai.input.messages": QUESTION % "hi"}) for n in (1, 2, 3)]
    assert [event["event"] for event in events_of(spans)] == ["$ai_generation"] * 3


def test_spans_that_are_their_own_parents_do_no_harm() -> None:
    assert set(by_id([span(1, 2, CHAT), span(2, 1, AGENT), span(3, 3, TOOL)])) == {id_of(1), id_of(2), id_of(3)}


kinds = st.sampled_from([CHAT, AGENT, TOOL, HTTP, {}])
trees = st.lists(st.tuples(kinds, st.integers(0, 30)), min_size=1, max_size=30)


@given(trees, st.randoms(use_true_random=False))
def test_in_any_tree_parents_exist_and_calls_count_once(tree: list[tuple[dict[str, Any], int]], random: Any) -> None:
    parents = [None if i == 0 or up % (i + 1) == i else up % i + 1 for i, (_, up) in enumerate(tree)]
    spans = [span(i + 1, parents[i], attributes) for i, (attributes, _) in enumerate(tree)]
    random.shuffle(spans)
    events = by_id(spans)
    for event in events.values():
        parent = event["properties"].get("$ai_parent_id")
        assert parent is None or parent == TRACE_ID or parent in events
    # Exactly the innermost calls count: those with no call below that only wrappers lie between.
    covered = set()
    for i, (attributes, _) in enumerate(tree):
        above = parents[i]
        while attributes is CHAT and above is not None and tree[above - 1][0] not in (AGENT, TOOL):
            if tree[above - 1][0] is CHAT:
                covered.add(above)
                break
            above = parents[above - 1]
    expected = {id_of(i + 1) for i, (attributes, _) in enumerate(tree) if attributes is CHAT and i + 1 not in covered}
    assert {key for key, event in events.items() if event["event"] == "$ai_generation"} == expected


def test_a_deep_tree_is_no_hard_work() -> None:
    spans = [span(number, number - 1, AGENT) for number in range(2, 3000)]
    events = by_id([*spans, span(1, None, {**AGENT, "user.id": "ada"})])
    assert {event["distinct_id"] for event in events.values()} == {"ada"}
