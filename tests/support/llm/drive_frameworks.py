"""Frameworks above the OpenAI client through the scenarios: LangChain and Pydantic AI."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from .drive_openai import CHAT_STEPS
from .steps import WEATHER_TOOL, Json, Record, Seen, SpanIds, Step, run

# What both can do without code of their own.
_NAMES = {"plain", "stream", "tool_ask", "tool_result", "cached", "err429", "err401", "err500", "unicode", "long"}


def _steps(names: Iterable[str] | None) -> set[str]:
    return _NAMES if names is None else _NAMES & set(names)


def drive_langchain(
    base_url: str, names: Iterable[str] | None = None, finished_span_ids: SpanIds | None = None
) -> list[Record]:
    """Call chat completions with LangChain's ``ChatOpenAI``."""
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
    from langchain_openai import ChatOpenAI

    def messages(step: Step) -> list[Any]:
        scenario = step.scenario
        found: list[Any] = [SystemMessage(scenario.system)] if scenario.system else []
        found += [HumanMessage(text) if role == "user" else AIMessage(text) for role, text in scenario.history]
        found.append(HumanMessage(scenario.user))
        if scenario.tool_results:
            calls = _asked_for(scenario.tool_results)
            found.append(AIMessage("", tool_calls=[{"id": i, "name": n, "args": a} for i, n, a, _ in calls]))
            found += [ToolMessage(result, tool_call_id=call_id) for call_id, _, _, result in calls]
        return found

    def call(step: Step) -> Seen:
        options = {name: value for name, value in step.options.items() if name != "tools"}
        options.setdefault("stream_usage", True)
        model: Any = ChatOpenAI(
            model=step.model, base_url=f"{base_url}/v1", api_key="sk-test", max_retries=0, **options
        )
        if "tools" in step.options:
            model = model.bind_tools([{"type": "function", "function": WEATHER_TOOL}])
        if step.streaming:
            return Seen(answers=("".join(str(chunk.content) for chunk in model.stream(messages(step))),))
        return Seen(answers=(str(model.invoke(messages(step)).content),))

    return run(CHAT_STEPS, call, _steps(names), finished_span_ids)


def drive_pydantic_ai(
    base_url: str, names: Iterable[str] | None = None, finished_span_ids: SpanIds | None = None
) -> list[Record]:
    """Call chat completions with Pydantic AI's ``direct`` requests, which trace like those of its agents."""
    import openai
    from pydantic_ai import direct
    from pydantic_ai.messages import (
        ModelRequest,
        ModelResponse,
        SystemPromptPart,
        TextPart,
        ToolCallPart,
        ToolReturnPart,
        UserPromptPart,
    )
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.tools import ToolDefinition

    def messages(step: Step) -> list[Any]:
        scenario = step.scenario
        first = [SystemPromptPart(scenario.system)] if scenario.system else []
        found: list[Any] = []
        for role, text in scenario.history:
            if role == "user":
                found.append(ModelRequest([*first, UserPromptPart(text)]))
                first = []
            else:
                found.append(ModelResponse([TextPart(text)]))
        found.append(ModelRequest([*first, UserPromptPart(scenario.user)]))
        if scenario.tool_results:
            calls = _asked_for(scenario.tool_results)
            found.append(ModelResponse([ToolCallPart(n, a, tool_call_id=i) for i, n, a, _ in calls]))
            found.append(ModelRequest([ToolReturnPart(n, result, tool_call_id=i) for i, n, _, result in calls]))
        return found

    def call(step: Step) -> Seen:
        client = openai.AsyncOpenAI(base_url=f"{base_url}/v1", api_key="sk-test", max_retries=0)
        model = OpenAIChatModel(step.model, provider=OpenAIProvider(openai_client=client))
        known = ("temperature", "max_tokens", "top_p", "seed", "frequency_penalty", "presence_penalty")
        settings: Json = {name: step.options[name] for name in known if name in step.options}
        if "stop" in step.options:
            settings["stop_sequences"] = step.options["stop"]
        tool = ToolDefinition(
            name=WEATHER_TOOL["name"],
            parameters_json_schema=WEATHER_TOOL["parameters"],
            description=WEATHER_TOOL["description"],
        )
        parameters = ModelRequestParameters(function_tools=[tool] if "tools" in step.options else [])
        given: Json = {"model_settings": settings, "model_request_parameters": parameters, "instrument": True}
        if step.streaming:
            with direct.model_request_stream_sync(model, messages(step), **given) as stream:
                for _ in stream:
                    pass
            return Seen()
        direct.model_request_sync(model, messages(step), **given)
        return Seen()

    return run(CHAT_STEPS, call, _steps(names), finished_span_ids)


def _asked_for(results: Iterable[str]) -> list[tuple[str, str, Json, str]]:
    """Id, name, arguments and result of the tool calls that the model asked for before."""
    from .openai_api import call_id
    from .scenarios import BY_NAME

    asked = BY_NAME["tool_ask"].tool_calls
    return [
        (call_id(call, index), call.name, json.loads(json.dumps(call.arguments)), result)
        for index, (call, result) in enumerate(zip(asked, results, strict=True))
    ]
