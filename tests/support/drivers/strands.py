"""Strands agents on OpenAI's API: each call is an agent's run."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.drivers import chat_steps
from tests.support.llm.steps import Record, Seen, SpanIds, Step, run
from tests.support.recorder import Source

REQUIRES = ("strands-agents[otel,openai]",)
NAMES = ("plain", "stream", "tool_result", "reasoning", "err429", "unicode")
STEPS = [*chat_steps(NAMES, "agent run", streaming=True)]


def drive(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
    from strands import Agent, tool
    from strands.models.openai import OpenAIModel

    @tool
    def get_weather(city: str, unit: str = "celsius") -> str:
        """Get the current weather in a city."""
        return {"Lisbon": "24 C and sunny", "Oslo": "11 C and rain"}[city]

    def call(step: Step) -> Seen:
        options = {"base_url": f"{base_url}/v1", "api_key": "sk-test", "max_retries": 0}
        given = {k: v for k, v in step.options.items() if k in ("temperature", "max_tokens")}
        model = OpenAIModel(client_args=options, model_id=step.model, params=given)
        tools = [get_weather] if "tools" in step.options else []
        agent = Agent(
            model=model,
            system_prompt=step.scenario.system,
            tools=tools,
            callback_handler=None,
            retry_strategy=None,
            trace_attributes={"session.id": "session-8", "user.id": "user-77"},
        )
        agent(step.scenario.user)
        return Seen()

    return run(STEPS, call, names, finished)


SOURCE = Source("strands-agents", "openai", drive)
