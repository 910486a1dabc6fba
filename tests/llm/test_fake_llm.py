"""The fake LLM gives the real clients what its table of scenarios says."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.llm import BY_NAME, FakeLLM
from tests.support.llm.drive import (
    ANTHROPIC_STEPS,
    CHAT_STEPS,
    EMBEDDING_STEPS,
    GEMINI_STEPS,
    RESPONSES_STEPS,
    Record,
    drive_anthropic,
    drive_gemini,
    drive_openai_chat,
    drive_openai_embeddings,
    drive_openai_responses,
)
from tests.support.llm.drive_anthropic import anthropic_calls
from tests.support.llm.drive_gemini import gemini_calls
from tests.support.llm.drive_openai import chat_calls, embedding_calls
from tests.support.llm.drive_responses import response_calls
from tests.support.llm.scenarios import count_tokens, scenario_for
from tests.support.llm.steps import Call, Seen, Step, expected
from tests.support.ports import free_port

pytestmark = [
    pytest.mark.xdist_group("llm"),  # in one worker: each would import the clients
    pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning"),
]

Make = Callable[[str, str], Seen]
RECORDINGS = Path(__file__).parents[1] / "recordings"
CLIENTS = {"openai": "openai", "anthropic": "anthropic", "google-genai": "google.genai"}
ERRORS = {
    "chat": "openai",
    "responses": "openai",
    "anthropic": "anthropic",
    "gemini": "google.genai.errors",
}
CALLS: dict[str, Callable[[str], AbstractContextManager[Call]]] = {
    "chat": chat_calls,
    "embeddings": embedding_calls,
    "responses": response_calls,
    "anthropic": anthropic_calls,
    "gemini": gemini_calls,
}
STEPS = {
    "chat": CHAT_STEPS,
    "embeddings": EMBEDDING_STEPS,
    "responses": RESPONSES_STEPS,
    "anthropic": ANTHROPIC_STEPS,
    "gemini": GEMINI_STEPS,
}


@pytest.fixture(scope="module")
def llm() -> Iterator[FakeLLM]:
    with FakeLLM() as running:
        yield running


@pytest.fixture
def openai_client(llm: FakeLLM) -> Iterator[Any]:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{llm.url}/v1", api_key="sk-test") as client:
        yield client


@pytest.fixture(scope="module")
def make(llm: FakeLLM) -> Iterator[Make]:
    """Makes the call of that name, by one client for each API; skipped without it."""
    with ExitStack() as clients:
        calls: dict[str, Call] = {}

        def make(api: str, name: str) -> Seen:
            (step,) = (step for step in STEPS[api] if step.name == name)
            pytest.importorskip(CLIENTS[step.provider])
            if api not in calls:
                calls[api] = clients.enter_context(CALLS[api](llm.url))
            return calls[api](step)

        yield make


def is_plain(step: Step) -> bool:
    """Whether the app sees the whole answer, as text or as tool calls."""
    told_apart = ("stream_break", "refused", "embed")
    return step.scenario.status is None and step.name not in told_apart


ANSWERED = [(api, step) for api, steps in STEPS.items() for step in steps if is_plain(step)]
IDS = [f"{api}-{step.name}" for api, step in ANSWERED]


@pytest.mark.parametrize(("api", "step"), ANSWERED, ids=IDS)
def test_the_app_sees_what_the_script_says(make: Make, api: str, step: Step) -> None:
    assert make(api, step.name) == expected(step)


@pytest.mark.parametrize(
    ("api", "name", "error", "status"),
    [
        ("chat", "err400", "BadRequestError", 400),
        ("chat", "err401", "AuthenticationError", 401),
        ("chat", "err429", "RateLimitError", 429),
        ("chat", "err500", "InternalServerError", 500),
        ("chat", "refused", "APIConnectionError", None),
        ("responses", "err429", "RateLimitError", 429),
        ("anthropic", "err401", "AuthenticationError", 401),
        ("anthropic", "err429", "RateLimitError", 429),
        ("anthropic", "err500", "InternalServerError", 500),
        ("anthropic", "err529", "InternalServerError", 529),
        ("gemini", "err400", "ClientError", 400),
        ("gemini", "err429", "ClientError", 429),
        ("gemini", "err500", "ServerError", 500),
    ],
)
def test_errors_raise_the_class_of_their_status(
    make: Make, api: str, name: str, error: str, status: int | None
) -> None:
    errors = pytest.importorskip(ERRORS[api])
    with pytest.raises(getattr(errors, error)) as raised:
        make(api, name)
    told = getattr(raised.value, "status_code", getattr(raised.value, "code", None))
    assert told == status


def test_a_stream_that_is_left_early_gives_half_an_answer_and_no_usage(make: Make) -> None:
    seen = make("chat", "stream_break")
    begun = "one two three four five six seven eight nine ten eleven twelve "
    assert seen == Seen(answers=(begun,))


def test_anthropic_counts_no_output_in_a_stream_that_is_left_early(make: Make) -> None:
    seen = make("anthropic", "stream_break")
    assert seen.answers[0].endswith("fifteen sixteen ")
    assert seen.finish is None
    assert seen.usage is not None
    assert (seen.usage.input, seen.usage.output) == (17, 1)


def test_embeddings_come_with_their_tokens(make: Make) -> None:
    seen = make("embeddings", "embed")
    assert seen.usage == BY_NAME["embed"].usage
    first, second = seen.vectors
    assert first == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08])
    assert second[7] == pytest.approx(0.16)


def test_gemini_embeds_each_text(make: Make) -> None:
    seen = make("gemini", "embed")
    assert [len(vector) for vector in seen.vectors] == [3072, 3072]


# The records


def recorded(name: str, **only: str) -> list[Record]:
    calls: list[Record] = json.loads((RECORDINGS / f"{name}.json").read_text())["calls"]
    return [call for call in calls if only.items() <= call.items()]


def facts(record: Record) -> Record:
    """A record without what differs from run to run or was added by hand."""
    passing = ("i", "note", "logs_during_call", "span_ids_finished_during_call")
    return {
        key: value
        for key, value in record.items()
        if key not in passing and not key.endswith("_nano") and key != "exception_seen_by_app"
    }


@pytest.mark.parametrize(
    ("drive", "recording", "only"),
    [
        (drive_openai_chat, "openinference-openai", {"api": "chat.completions"}),
        (drive_openai_chat, "openinference-openai", {"api": "chat.completions (async client)"}),
        (drive_openai_responses, "openinference-openai", {"api": "responses"}),
        (drive_openai_embeddings, "openinference-openai", {"api": "embeddings"}),
        (drive_anthropic, "openinference-anthropic", {}),
        (drive_gemini, "otel-google-genai_span-only", {}),
    ],
)
def test_records_say_what_the_recordings_say(
    llm: FakeLLM, drive: Callable[[str], list[Record]], recording: str, only: dict[str, str]
) -> None:
    calls = recorded(recording, **only)
    pytest.importorskip(CLIENTS[calls[0]["provider"]])
    driven = [facts(record) for record in drive(llm.url)]
    for call in calls:
        if "app itself raises" not in call.get("note", ""):  # a fault of the app, not of the call
            assert facts(call) in driven


def test_a_record_has_the_spans_that_ended_during_its_call(llm: FakeLLM) -> None:
    pytest.importorskip("openai")
    before = len(llm.requests)

    def finished_span_ids() -> list[str]:
        """As if each request were a span."""
        return [f"span{number}" for number in range(len(llm.requests) - before)]

    records = drive_openai_chat(llm.url, ["plain", "err429", "stream"], finished_span_ids)
    assert [(r["i"], r["scenario"]) for r in records] == [
        (0, "plain"),
        (1, "stream"),
        (2, "err429"),
    ]
    assert [r["span_ids_finished_during_call"] for r in records] == [
        ["span0"],
        ["span1"],
        ["span2"],
    ]
    assert [r["error"] for r in records] == [False, False, True]
    assert records[2]["exception_seen_by_app"].startswith("openai.RateLimitError: Error code: 429")
    assert all(r["start_unix_nano"] < r["end_unix_nano"] for r in records)


# What is in no script


def test_an_unknown_prompt_is_echoed_and_counted(openai_client: Any) -> None:
    messages = [{"role": "user", "content": "Tell me about otters."}]
    reply = openai_client.chat.completions.create(model="gpt-4o", messages=messages)
    assert reply.choices[0].message.content == "You said: Tell me about otters."
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (6, 8)


def test_tokens_are_counted_by_four_characters() -> None:
    assert [count_tokens(text) for text in ("", "a", "abcd", "abcde")] == [0, 1, 1, 2]


def test_a_prompt_inside_a_longer_text_is_known() -> None:
    assert scenario_for("Task: What is the capital of France?\nBegin!") is BY_NAME["plain"]


def test_tools_that_were_answered_are_not_asked_for_again() -> None:
    user = BY_NAME["stream_tool"].user
    assert scenario_for(user, has_tool_results=True).tool_calls == ()


def test_more_answers_than_scripted_repeat_the_last(openai_client: Any) -> None:
    messages = [{"role": "user", "content": BY_NAME["n2"].user}]
    reply = openai_client.chat.completions.create(model="gpt-4o", messages=messages, n=3)
    answers = [choice.message.content for choice in reply.choices]
    assert answers == ["Marmalade", "Clementine", "Clementine"]


def test_several_answers_can_be_streamed(openai_client: Any) -> None:
    messages = [{"role": "user", "content": BY_NAME["n2"].user}]
    answers = {0: "", 1: ""}
    asked = {"model": "gpt-4o", "messages": messages, "n": 2, "stream": True}
    with openai_client.chat.completions.create(**asked) as chunks:
        for chunk in chunks:
            answers[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert answers == {0: "Marmalade", 1: "Clementine"}


def test_a_streamed_refusal_is_no_content(openai_client: Any) -> None:
    messages = [{"role": "user", "content": BY_NAME["refusal"].user}]
    asked = {"model": "gpt-4o", "messages": messages, "stream": True}
    with openai_client.chat.completions.create(**asked) as chunks:
        deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.refusal or "" for delta in deltas) == BY_NAME["refusal"].refusal
    assert not any(delta.content for delta in deltas)


def test_text_completions_are_served(openai_client: Any) -> None:
    asked = {"model": "gpt-3.5-turbo-instruct", "prompt": BY_NAME["plain"].user}
    whole = openai_client.completions.create(**asked)
    assert whole.choices[0].text == BY_NAME["plain"].answer
    with openai_client.completions.create(**asked, stream=True) as chunks:
        assert "".join(chunk.choices[0].text for chunk in chunks) == BY_NAME["plain"].answer


def test_embeddings_come_as_floats_or_packed(openai_client: Any) -> None:
    asked = {"model": "text-embedding-3-small", "input": "otter"}
    as_floats = openai_client.embeddings.create(**asked, encoding_format="float")
    packed = openai_client.embeddings.create(**asked)
    assert len(packed.data[0].embedding) == 1536
    assert packed.data[0].embedding == pytest.approx(as_floats.data[0].embedding)
    assert packed.usage.prompt_tokens == 2


def test_token_numbers_can_be_embedded(openai_client: Any) -> None:
    reply = openai_client.embeddings.create(model="text-embedding-3-small", input=[[1, 2], [3]])
    assert (len(reply.data), reply.usage.prompt_tokens) == (2, 3)


def test_models_are_listed(openai_client: Any) -> None:
    assert "gpt-4o-mini" in [model.id for model in openai_client.models.list()]
    assert openai_client.models.retrieve("gpt-4o").id == "gpt-4o"


def test_a_response_can_go_on_from_another(openai_client: Any) -> None:
    asked = openai_client.responses.create(model="gpt-4.1", input=BY_NAME["tool_ask"].user)
    fine = {"type": "function_call_output", "output": "fine"}
    answered = openai_client.responses.create(
        model="gpt-4.1",
        input=[{**fine, "call_id": call.call_id} for call in asked.output],
        previous_response_id=asked.id,
    )
    assert answered.output_text == BY_NAME["tool_result"].answer


def test_a_missing_parameter_is_a_bad_request(openai_client: Any) -> None:
    openai = pytest.importorskip("openai")
    with pytest.raises(openai.BadRequestError, match="messages"):
        openai_client.chat.completions.create(model="gpt-4o", messages=[])


def test_retries_do_not_wait(llm: FakeLLM, openai_client: Any) -> None:
    openai = pytest.importorskip("openai")
    messages = [{"role": "user", "content": BY_NAME["err429"].user}]
    before = len(llm.requests)
    with pytest.raises(openai.RateLimitError) as raised:
        openai_client.chat.completions.create(model="gpt-4o", messages=messages)
    assert len(llm.requests) - before == 3
    assert raised.value.response.headers["retry-after-ms"] == "1"


# The server


def post(url: str, body: bytes) -> tuple[int, Any]:
    """Status and JSON of a request, errors too."""
    reply = requests.post(url, data=body, timeout=10)
    return reply.status_code, reply.json()


def test_anthropic_leaves_the_cache_out_of_the_input(llm: FakeLLM) -> None:
    messages = [{"role": "user", "content": BY_NAME["cached"].user}]
    asked = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": messages}
    _, reply = post(f"{llm.url}/v1/messages", json.dumps(asked).encode())
    assert reply["usage"]["input_tokens"] == 262
    assert reply["usage"]["cache_read_input_tokens"] == 2048


def test_gemini_leaves_the_thoughts_out_of_the_candidates(llm: FakeLLM) -> None:
    asked = {"contents": [{"parts": [{"text": BY_NAME["reasoning"].user}]}]}
    url = f"{llm.url}/v1beta/models/gemini-2.5-pro:generateContent"
    _, reply = post(url, json.dumps(asked).encode())
    usage = reply["usageMetadata"]
    assert (usage["candidatesTokenCount"], usage["thoughtsTokenCount"]) == (19, 192)
    assert usage["totalTokenCount"] == 229


def test_a_gemini_stream_without_sse_is_a_list(llm: FakeLLM) -> None:
    asked = {"contents": [{"parts": [{"text": BY_NAME["stream"].user}]}]}
    url = f"{llm.url}/v1beta/models/gemini-2.5-pro:streamGenerateContent"
    _, chunks = post(url, json.dumps(asked).encode())
    texts = [chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks]
    assert "".join(texts) == BY_NAME["stream"].answer


def test_tokens_can_be_counted_without_an_answer(llm: FakeLLM) -> None:
    user = BY_NAME["plain"].user
    messages = json.dumps({"messages": [{"role": "user", "content": user}]}).encode()
    contents = json.dumps({"contents": [{"parts": [{"text": user}]}]}).encode()
    gemini = f"{llm.url}/v1beta/models/gemini-2.5-pro:countTokens"
    assert post(f"{llm.url}/v1/messages/count_tokens", messages)[1] == {"input_tokens": 31}
    assert post(gemini, contents)[1] == {"totalTokens": 31}


def test_a_body_that_is_no_json_is_a_bad_request(llm: FakeLLM) -> None:
    status, reply = post(f"{llm.url}/v1/chat/completions", b"{")
    assert status == 400
    assert "no JSON" in reply["error"]["message"]


def test_requests_are_kept_in_their_order() -> None:
    with FakeLLM() as llm:
        post(f"{llm.url}/v1/completions", b'{"model": "m", "prompt": "one"}')
        post(f"{llm.url}/v1/embeddings", b'{"model": "m", "input": "two"}')
    assert llm.requests == [
        ("/v1/completions", {"model": "m", "prompt": "one"}),
        ("/v1/embeddings", {"model": "m", "input": "two"}),
    ]


def test_a_stop_frees_the_port() -> None:
    llm = FakeLLM(free_port())
    llm.start()
    port = int(llm.url.rpartition(":")[2])
    llm.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    url = llm.url
    with llm:
        assert llm.url == url


def test_a_port_that_is_taken_is_an_error() -> None:
    with FakeLLM() as llm, pytest.raises(OSError, match="in use"):
        FakeLLM(int(llm.url.rpartition(":")[2])).start()


def test_it_runs_in_the_foreground() -> None:
    command = [sys.executable, "-m", "tests.support.llm", "--port", "0"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        url = running.stdout.readline().strip()
        status, reply = post(f"{url}/v1/completions", b'{"model": "m", "prompt": "otter"}')
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
    assert (status, reply["choices"][0]["text"]) == (200, "You said: otter")
