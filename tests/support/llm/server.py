"""``FakeLLM``: the APIs of OpenAI, Anthropic and Gemini on a port of this machine.

with FakeLLM() as llm:
    client = openai.OpenAI(base_url=f"{llm.url}/v1", api_key="any")
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import anthropic_api, gemini_api, openai_api, openai_responses
from .wire import Handler, Json, json_reply

_APIS = (openai_api, openai_responses, anthropic_api, gemini_api)
_START_LIMIT = 10  # seconds; a start takes some milliseconds on an idle machine
_STOP_LIMIT = 5


class FakeLLM:
    """LLM providers that answer from the table of scenarios, served from a daemon thread.

    Args:
        port: TCP port; 0 takes a free one.
        host: address to bind; the default is reachable from this machine only.
    """

    def __init__(self, port: int = 0, *, host: str = "127.0.0.1") -> None:
        self.requests: list[tuple[str, Json]] = []
        """Path and body of each request, in the order of arrival."""
        self._host, self._port = host, port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address, without a path; it stays the same after a restart."""
        return f"http://{self._host}:{self._port}"

    def start(self) -> FakeLLM:
        """Bind the port and serve. Raises ``OSError`` if the port is taken."""
        if self._thread is not None:
            return self
        bound = _bound(self._host, self._port)
        self._port = bound.getsockname()[1]
        config = uvicorn.Config(
            self.app(),
            log_level="critical",
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            # A stream that nobody reads any more must not hold up the end.
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        serve = partial(self._server.run, sockets=[bound])
        self._thread = threading.Thread(target=serve, name="fake-llm", daemon=True)
        self._thread.start()
        self._wait_for_start(self._server, self._thread)
        return self

    def stop(self) -> None:
        """Close every connection and the port; what was requested stays readable."""
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is not None and thread is not None:
            server.should_exit = True
            thread.join(_STOP_LIMIT)

    def __enter__(self) -> FakeLLM:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def app(self) -> Starlette:
        """The ASGI app, for those who serve it themselves."""
        routes = []
        for api in _APIS:
            for rule, handler in api.ROUTES.items():
                method, path = rule.split(" ")
                routes.append(Route(path, self._endpoint(handler), methods=[method]))
        return Starlette(routes=routes)

    def _endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                body = orjson.loads(await request.body() or b"{}")
            except orjson.JSONDecodeError as error:
                return json_reply({"error": {"message": f"The body is no JSON: {error}"}}, 400)
            self.requests.append((request.url.path, body))
            return handler(body, {**request.query_params, **request.path_params})

        return endpoint

    @staticmethod
    def _wait_for_start(server: uvicorn.Server, thread: threading.Thread) -> None:
        end = time.monotonic() + _START_LIMIT
        while not server.started:
            if not thread.is_alive() or time.monotonic() > end:
                raise RuntimeError("the fake LLM did not start")
            thread.join(0.005)


def _bound(host: str, port: int) -> socket.socket:
    bound = socket.socket()
    # A port that was just left can be taken again, as servers do.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
