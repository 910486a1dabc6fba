"""Google ADK on Gemini's API: each call is an agent's run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import replace

from tests.support.drivers import plain
from tests.support.llm.drive_gemini import GEMINI_STEPS
from tests.support.llm.steps import Record, Seen, SpanIds, Step, run
from tests.support.recorder import Source

REQUIRES = ("google-adk",)
NAMES = ("plain", "stream", "tool_result", "reasoning", "err429", "unicode")
STEPS = [replace(plain(step), api="agent run") for step in GEMINI_STEPS if step.name in NAMES]


def drive(base_url: str, names: Iterable[str] | None, finished: SpanIds | None) -> list[Record]:
    os.environ.update(GOOGLE_API_KEY="test", GOOGLE_GEMINI_BASE_URL=base_url, GOOGLE_GENAI_USE_VERTEXAI="FALSE")
    from google.adk.agents import Agent
    from google.adk.agents.run_config import RunConfig, StreamingMode
    from google.adk.runners import InMemoryRunner
    from google.genai import types

    def get_weather(city: str, unit: str = "celsius") -> str:
        """Get the current weather in a city."""
        return {"Lisbon": "24 C and sunny", "Oslo": "11 C and rain"}[city]

    async def ask(step: Step) -> None:
        limits = {k: step.options.get(k) for k in ("temperature", "max_output_tokens")}
        agent = Agent(
            model=step.model,
            name="assistant",
            instruction=step.scenario.system or "",
            tools=[get_weather] if "tools" in step.options else [],
            generate_content_config=types.GenerateContentConfig(**{k: v for k, v in limits.items() if v is not None}),
        )
        runner = InMemoryRunner(agent=agent, app_name="recorded")
        session = await runner.session_service.create_session(app_name="recorded", user_id="user-77")
        mode = StreamingMode.SSE if step.streaming else StreamingMode.NONE
        message = types.Content(role="user", parts=[types.Part(text=step.scenario.user)])
        async for _ in runner.run_async(
            user_id="user-77", session_id=session.id, new_message=message, run_config=RunConfig(streaming_mode=mode)
        ):
            pass

    def call(step: Step) -> Seen:
        asyncio.run(ask(step))
        return Seen()

    return run(STEPS, call, names, finished)


SOURCE = Source("google-adk", "google-genai", drive)
