"""Real libraries under real instrumentations, recorded now, and every fact of every call held against the events.

The Anthropic SDK traces itself below any instrumentation, so its calls are pairs too.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import run_python
from tests.support.recorder import SOURCES
from tests.support.truth import facts_of

NOT_CARRIED = {
    ("openinference-langchain", "stream", "streaming"): "the parameters say stream: false",
    ("pair_openinference-langchain_openai-v2", "stream", "streaming"): "likewise",
}


def installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def recorded(name: str, path: Path) -> dict[str, Any]:
    source = SOURCES[name]
    modules = [instrumentor.partition(":")[0] for instrumentor in source.instrumentors] or ["pydantic_ai"]
    if not all(map(installed, [*modules, source.client.replace("-", "_")])):
        pytest.skip(f"{name} is not installed")
    done = run_python(f"from tests.support import recorder; recorder.main([{name!r}, {str(path)!r}])")
    assert done.returncode == 0, done.stderr
    recording: dict[str, Any] = json.loads(path.read_text())
    return recording


@pytest.mark.parametrize("name", SOURCES)
def test_every_call_arrives_once_and_right(name: str, tmp_path: Path) -> None:
    recording = recorded(name, tmp_path / "recording.json")
    calls = {call["i"]: call["scenario"] for call in recording["calls"]}
    failed = {call["scenario"] for call in recording["calls"] if call["error"]}
    assert {name for name in failed if not name.startswith("err")} <= {"plain"}  # the one without a server
    facts = facts_of(recording)
    assert {fact.call for fact in facts} == set(calls)
    wrong = {(name, calls[fact.call], fact.name): fact.got for fact in facts if not fact.right}
    assert {key: got for key, got in wrong.items() if key not in NOT_CARRIED} == {}
