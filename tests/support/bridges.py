"""Bridges for tests: one in a thread, and the command in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import requests

from otel_posthog.bridge._intake import Intake
from otel_posthog.bridge._metrics import Metrics
from otel_posthog.bridge._project import Project, Window
from otel_posthog.bridge._server import BridgeServer, Keys, build_app
from otel_posthog.settings import Settings
from tests.support.ports import free_port

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}


class BridgeInThread:
    """``with BridgeInThread(posthog.url) as bridge: bridge.post("traces", body)``. ``grpc_address`` is None without
    ``grpc=True``."""

    def __init__(
        self,
        host: str,
        *,
        window: Window | None = None,
        keys: Mapping[str, str] | None = None,
        grpc: bool = False,
        **options: Any,
    ):
        limits = {
            name: options.pop(name) for name in ("max_body_bytes", "max_held_bytes", "answer_within") if name in options
        }
        self.default = Project(Settings(api_key="phc_test", host=host, **options), window or Window(0.3))
        others = {key: Project(Settings(api_key=key, host=its), Window(0.3)) for key, its in (keys or {}).items()}
        self.intake = Intake([self.default, *others.values()], **limits)
        allowed = Keys(self.default, others)
        self.grpc_address = f"127.0.0.1:{free_port()}" if grpc else None
        companion = None
        if self.grpc_address is not None:
            from otel_posthog.bridge._grpc import GrpcServer

            companion = GrpcServer(self.intake, allowed, self.grpc_address)
        app = build_app(self.intake, allowed, Metrics(self.intake))
        self._server = BridgeServer(app, self.intake, "127.0.0.1", 0, companion=companion)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> BridgeInThread:
        self.intake.start()
        self._thread.start()
        wait_until(lambda: self._server.started)
        self.url = f"http://127.0.0.1:{self._server.port}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join(15)
        self.intake.close(2)

    def post(self, signal: str, body: bytes, headers: Mapping[str, str] | None = None) -> requests.Response:
        """A request; protobuf unless the headers say otherwise."""
        return requests.post(f"{self.url}/v1/{signal}", body, headers={**PROTOBUF, **(headers or {})}, timeout=15)


class BridgeProcess:
    """``otel-posthog serve`` on a port that stays the same when it is started again."""

    def __init__(self, host: str, *arguments: str, **environment: str) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._command = [sys.executable, "-m", "otel_posthog.cli", "serve", "--port", str(self._port), *arguments]
        self._environment = {**os.environ, "POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": host, **environment}
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> BridgeProcess:
        """Start, and wait until it answers."""
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        wait_until(self._is_ready, 20)
        return self

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def terminate(self) -> tuple[int, str]:
        """SIGTERM: exit status and output."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        output, _ = self._process.communicate(timeout=30)
        return self._process.returncode, output

    def __enter__(self) -> BridgeProcess:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(self._process.communicate()[0])
        try:
            return requests.get(f"{self.url}/readyz", timeout=1).status_code == 200
        except requests.ConnectionError:
            return False


def wait_until(condition: Callable[[], bool], timeout: float = 10) -> None:
    """Wait for a condition; ``TimeoutError`` if it does not come true."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.01)
