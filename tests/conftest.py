"""Fixtures that most tests want."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from otel_posthog import _context
from otel_posthog.local import LocalPostHog

# Every worker and every program of a test would compile all modules anew. The workers inherit this from here.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# How long an example takes says nothing here: several tests share a core.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


def pytest_collection_finish() -> None:
    """What stays to the end anyway is not looked through again by each garbage collection of the tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's reaches a test."""
    for name in os.environ:
        if name.startswith(("OTEL_", "POSTHOG_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_content_opt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """That some code keeps its content is remembered for the whole process; no test is to see another's."""
    monkeypatch.setattr(_context, "_content_opt_out", threading.Event())


@pytest.fixture
def posthog() -> Iterator[LocalPostHog]:
    """A local PostHog that enforces the real one's rules, for one test."""
    with LocalPostHog() as running:
        yield running
