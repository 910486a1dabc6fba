"""A small LLM server on loopback, so that the demo and the examples need no account.

OpenAI's ``/v1/chat/completions`` (plain, streamed, with tools, refused) and ``/v1/embeddings``, Anthropic's
``/v1/messages``, with fixed answers and token counts. ``python -m examples.fake_llm --port 8011`` runs it by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

CREATED = 1_795_489_200
RATE_LIMITED = "RATE-LIMIT-ME"
USAGE = {"prompt_tokens": 31, "completion_tokens": 8, "total_tokens": 39}


def _answer(messages: list[dict[str, Any]], tools: list[Any]) -> tuple[dict[str, Any], str]:
    """The assistant's message and its finish reason."""
    asked = str(next((m["content"] for m in reversed(messages) if m["role"] == "user"), ""))
    results = [m["content"] for m in messages if m["role"] == "tool"]
    if results:
        return {"role": "assistant", "content": f"In Lisbon it is {results[-1]}."}, "stop"
    if tools and "weather" in asked:
        name = tools[0]["function"]["name"]
        function = {"name": name, "arguments": '{"city": "Lisbon"}'}
        call = {"id": "call_1", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    if "capital" in asked:
        return {"role": "assistant", "content": "The capital of France is Paris."}, "stop"
    return {"role": "assistant", "content": f"You said: {asked}"}, "stop"


def _completion(model: str, kind: str, choices: list[dict[str, Any]], usage: Any) -> dict[str, Any]:
    identity = {"id": "chatcmpl-1", "object": kind, "created": CREATED, "model": f"{model}-2024-07-18"}
    return {**identity, "choices": choices, "usage": usage}


async def _chat(request: Request) -> Response:
    body = await request.json()
    messages, model = body["messages"], body["model"]
    if any(RATE_LIMITED in str(message["content"]) for message in messages):
        error = {"message": "Rate limit reached", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
        return JSONResponse({"error": error}, status_code=429)
    message, reason = _answer(messages, body.get("tools") or [])
    if body.get("stream"):
        return StreamingResponse(_stream(model, message, reason), media_type="text/event-stream")
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    return JSONResponse(_completion(model, "chat.completion", [choice], USAGE))


async def _stream(model: str, message: dict[str, Any], reason: str) -> AsyncIterator[str]:
    words = str(message["content"]).split(" ")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word if i == 0 else f" {word}"} for i, word in enumerate(words)]
    for delta in deltas:
        yield _chunk(model, [{"index": 0, "delta": delta, "finish_reason": None}], None)
        await asyncio.sleep(0.002)
    yield _chunk(model, [{"index": 0, "delta": {}, "finish_reason": reason}], None)
    yield _chunk(model, [], USAGE)
    yield "data: [DONE]\n\n"


def _chunk(model: str, choices: list[dict[str, Any]], usage: Any) -> str:
    return f"data: {json.dumps(_completion(model, 'chat.completion.chunk', choices, usage))}\n\n"


async def _embeddings(request: Request) -> Response:
    body = await request.json()
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    data = [{"object": "embedding", "index": i, "embedding": [0.1, 0.2, 0.3, 0.4]} for i, _ in enumerate(texts)]
    usage = {"prompt_tokens": 6, "total_tokens": 6}
    return JSONResponse({"object": "list", "data": data, "model": body["model"], "usage": usage})


async def _messages(request: Request) -> Response:
    body = await request.json()
    message, _ = _answer(body["messages"], [])
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": message["content"]}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        # Anthropic counts cached tokens outside the input.
        "usage": {
            "input_tokens": 31,
            "output_tokens": 8,
            "cache_read_input_tokens": 2048,
            "cache_creation_input_tokens": 0,
        },
    }
    return JSONResponse(answer)


class FakeLLM:
    """The server in a thread of its own: ``with FakeLLM() as llm: OpenAI(base_url=llm.url, api_key="any")``."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        routes = [
            Route("/v1/chat/completions", _chat, methods=["POST"]),
            Route("/v1/embeddings", _embeddings, methods=["POST"]),
            Route("/v1/messages", _messages, methods=["POST"]),
        ]
        self._server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="warning", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    @property
    def url(self) -> str:
        """The base URL for an OpenAI client."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def __enter__(self) -> FakeLLM:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.should_exit = True
        self._thread.join(5)
        self._socket.close()


def main() -> None:
    """Run until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8011)
    with FakeLLM(parser.parse_args().port) as llm:
        print(f"OPENAI_BASE_URL={llm.url}")
        threading.Event().wait()


if __name__ == "__main__":
    main()
