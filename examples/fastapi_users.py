"""A FastAPI app in which every call has the user of its request.

A middleware sets ``user.id`` on the server span; that is all. Run it with ``uvicorn examples.fastapi_users:app``.
Environment: POSTHOG_API_KEY, POSTHOG_HOST, OPENAI_API_KEY.
"""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from openai import AsyncOpenAI
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

import otel_posthog

posthog = otel_posthog.configure()
OpenAIInstrumentor().instrument()

app = FastAPI()
openai = AsyncOpenAI()


@app.middleware("http")
async def name_the_user(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """The user from wherever your app knows them; here, a header."""
    span = trace.get_current_span()
    span.set_attribute("user.id", request.headers.get("x-user", "anonymous"))
    span.set_attribute("session.id", request.headers.get("x-session", ""))
    return await call_next(request)


@app.get("/capital")
async def capital(of: str) -> str:
    """Ask the model."""
    answer = await openai.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": f"What is the capital of {of}?"}]
    )
    return answer.choices[0].message.content or ""


FastAPIInstrumentor.instrument_app(app)
