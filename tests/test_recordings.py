"""Every recording against the recorded truth of its calls."""

from __future__ import annotations

import pytest

from tests.support import recordings
from tests.support.truth import facts_of

# Facts that the telemetry mentions without carrying them, as (recording, call, fact). Each has been looked at:
# should one start to arrive, the test says so and the row goes.
NOT_CARRIED: dict[tuple[str, int, str], str] = {
    ("openinference-beeai", 1, "stop reason"): "only the chunks have it",
    ("openinference-strands", 3, "streaming"): "it failed before its first token",
    ("strands-agents_1.62", 4, "streaming"): "it failed before its first token",
    ("traceai_openai", 8, "tool call"): "streamed tool calls are not recorded",
    ("langtrace_openai", 8, "tool call"): "of streamed tool calls only the arguments are recorded, as text",
    ("langtrace_openai", 16, "tool call"): "tool calls of the responses API are not recorded",
    ("langtrace_openai", 17, "tool result"): "nor are their results",
    ("openinference-portkey", 8, "tool call"): "streamed tool calls are not recorded",
    ("azure-ai-inference", 3, "tool result"): "only of messages that are the client's own classes",
    ("azure-ai-inference", 5, "model"): "the span of a failed request has the operation as its model",
    ("azure-ai-inference", 5, "http status"): "only the HTTP span has it",
    ("langtrace_anthropic", 2, "tool call"): "only the last of the calls is recorded",
    ("langtrace_anthropic", 8, "tool call"): "streamed tool calls are not recorded",
    ("agentops_openai", 2, "tool call"): "tool calls are spans of their own, beside the call",
    ("agentops_openai", 8, "tool call"): "likewise",
    ("openllmetry-mistralai", 1, "temperature"): "only the SDK's own span of the stream has it, without anything else",
    ("openllmetry-mistralai", 3, "tool result"): "messages without their content",
    ("haystack", 7, "model"): "a failed call has no reply, and only replies name the model",
    ("haystack-2", 7, "model"): "likewise",
    ("langsmith-otel", 22, "counted once"): "LangSmith ends its spans on a thread of its own, in bunches",
    ("langsmith-otel", 22, "output tokens"): "likewise",
    ("langsmith-otel", 24, "counted once"): "likewise",
    ("litellm-otel-callback", 0, "user text"): "the record has the user's id in the place of the text",
    ("logfire_openai", 12, "counted once"): "the log of an abandoned stream comes with garbage collection, in call 15",
    ("logfire_openai", 15, "counted once"): "it has the log of call 12's stream",
    ("logfire_openai", 15, "user text"): "likewise",
    ("logfire_openai", 15, "output tokens"): "likewise",
    ("logfire_openai", 15, "billed input"): "likewise",
    ("logfire_openai", 15, "answer"): "likewise",
    ("logfire_openai", 15, "stop reason"): "likewise",
    ("openinference-decorators", 1, "provider"): "a decorated function: nothing names a provider",
    ("openinference-decorators", 1, "model"): "nor a model",
    (
        "openinference-langgraph",
        1,
        "streaming",
    ): "the parameters say stream: false, and no event tells of a first token",
    ("openinference-openai-agents", 6, "tool definition"): "not among the parameters of chat completions",
    ("openinference-openai-agents", 7, "tool definition"): "likewise",
    ("openinference-openai-agents", 8, "model"): "only the text of the error names it",
    ("openinference-smolagents", 5, "model"): "the model is written with the answer",
    ("openinference-smolagents", 5, "provider"): "likewise",
    ("mistralai-native", 8, "is error"): "the span of a failed call has no status and no exception",
    ("mistralai-native", 8, "error text"): "likewise",
    ("mistralai-native", 9, "is error"): "likewise",
    ("mistralai-native", 9, "error text"): "likewise",
    ("mistralai-native", 10, "is error"): "likewise",
    ("mistralai-native", 10, "error text"): "likewise",
    ("mistralai-native_1.12", 8, "is error"): "the span of a failed call has no status and no exception",
    ("mistralai-native_1.12", 8, "error text"): "likewise",
    ("mistralai-native_1.12", 9, "is error"): "likewise",
    ("mistralai-native_1.12", 9, "error text"): "likewise",
    ("mistralai-native_1.12", 10, "is error"): "likewise",
    ("mistralai-native_1.12", 10, "error text"): "likewise",
    ("mlflow_anthropic", 12, "tool call"): "streamed tool calls are not recorded",
    ("mlflow_langchain", 0, "stop reason"): "the recorded reason is null",
    ("mlflow_langchain", 1, "stop reason"): "likewise",
    ("mlflow_langchain", 2, "stop reason"): "likewise",
    ("mlflow_langchain", 3, "stop reason"): "likewise",
    ("mlflow_langchain", 4, "stop reason"): "likewise",
    ("mlflow_langchain", 8, "stop reason"): "likewise",
    ("mlflow_langchain", 9, "stop reason"): "likewise",
    ("openlit_google", 3, "tool result"): "OpenLIT leaves out what tools answered",
    ("openlit_ollama", 2, "tool call"): "tool calls are not recorded",
    ("openlit_ollama", 13, "max_tokens"): "only as part of another number",
    ("openllmetry-anthropic_events", 9, "user text"): "its log records have the ids of the app's span",
    ("openllmetry-anthropic_events", 9, "system prompt"): "likewise",
    ("openllmetry-anthropic_events", 9, "answer"): "likewise",
    ("openllmetry-bedrock_0.47", 25, "tool call"): "the arguments of streamed tool calls are not recorded",
    ("openlit_openai", 27, "tool call"): "OpenLIT keeps the last of two calls to the responses API",
    ("openlit_openai", 28, "tool result"): "OpenLIT leaves out the responses API's function outputs",
    ("openllmetry-anthropic_0.38", 10, "tool call"): "streamed tool calls are not recorded",
    ("openllmetry-anthropic_0.38", 13, "max_tokens"): "only as part of another number",
    ("openllmetry-openai-agents", 8, "model"): "only the text of the error names it",
    ("otel-genai-openai_span-limits", 2, "tool call"): "the second call's name is cut off",
    ("otel-genai-openai_span-limits", 3, "tool result"): "cut off",
    ("otel-openai-agents-v2", 0, "tool result"): "the responses API refers to them by the previous response's id",
    ("openllmetry-crewai_both", 3, "counted once"): "CrewAI asks three times, each of which is a call of its own",
    ("vercel-ai_4", 13, "http status"): "only the app's name for the call has the number",
    ("vercel-ai_4", 14, "http status"): "likewise",
    ("vercel-ai_4", 15, "http status"): "likewise",
    ("vercel-ai_5", 14, "http status"): "likewise",
    ("vercel-ai_5", 15, "http status"): "likewise",
    ("vercel-ai_5", 16, "http status"): "likewise",
    ("vercel-ai_7", 17, "streaming"): "a stream is known by its first chunk, and this one failed before it",
    ("traceloop-sdk_decorators", 0, "tool definition"): "the second call of the run was made without tools",
    ("sentry-js_10", 12, "error text"): "no attribute and no event has the error",
    ("sentry-js_10", 13, "error text"): "likewise",
    ("sentry-js_10", 14, "error text"): "likewise",
    ("sentry-js_10", 14, "http status"): "only part of another number",
    ("sentry-js_10", 27, "error text"): "likewise",
    ("sentry-js_10", 28, "error text"): "likewise",
    ("sentry-js_10", 29, "error text"): "likewise",
    ("sentry-js_10", 29, "http status"): "likewise",
    ("mastra-otel-bridge", 1, "streaming"): "only the headers of the response, on the step below, show it",
    ("mastra-otel-bridge", 11, "streaming"): "likewise",
    ("mastra-otel-bridge", 14, "streaming"): "likewise",
    ("strands-js", 3, "streaming"): "every call streams, which no attribute says",
    ("strands-js", 6, "streaming"): "likewise",
    ("strands-js", 7, "streaming"): "likewise",
}


@pytest.mark.parametrize("name", recordings.NAMES)
def test_facts_of_calls_arrive(name: str) -> None:
    facts = facts_of(recordings.load(name))
    assert facts
    wrong = {(name, fact.call, fact.name): fact.got for fact in facts if not fact.right}
    assert {key: got for key, got in wrong.items() if key not in NOT_CARRIED} == {}
    right = {(name, fact.call, fact.name) for fact in facts if fact.right}
    assert sorted(key for key in NOT_CARRIED if key[0] == name and key in right - wrong.keys()) == []
