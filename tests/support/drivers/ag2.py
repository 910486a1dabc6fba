"""AG2's own tracing: each call is an agent's reply."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support.drivers import chat_steps
from tests.support.llm.steps import Record, Seen, SpanIds, Step, run
from tests.support.recorder import Source

REQUIRES = ("ag2[openai,tracing]",)
NAMES = ("plain", "cached", "reasoning", "err429", "json", "unicode")
STEPS = [*chat_steps(NAMES, "agent run")]


def drive(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
    from autogen import ConversableAgent, LLMConfig
    from autogen.opentelemetry import instrument_agent, instrument_llm_wrapper
    from opentelemetry import trace

    provider: Any = trace.get_tracer_provider()
    instrument_llm_wrapper(tracer_provider=provider, capture_messages=True)

    def call(step: Step) -> Seen:
        entry = {
            "model": step.model,
            "api_key": "sk-test",
            "base_url": f"{base_url}/v1",
            "max_retries": 0,
            "cache_seed": None,
        }
        agent = ConversableAgent(
            "assistant",
            system_message=step.scenario.system or "",
            llm_config=LLMConfig({k: v for k, v in entry.items() if k != "cache_seed"}, cache_seed=None),
            human_input_mode="NEVER",
        )
        instrument_agent(agent, tracer_provider=provider)
        agent.generate_reply([{"role": "user", "content": step.scenario.user}])
        return Seen()

    return run(STEPS, call, names, finished)


SOURCE = Source("ag2", "openai", drive)
