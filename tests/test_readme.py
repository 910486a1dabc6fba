"""The README's code runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otel_posthog.local import LocalPostHog
from tests.support.processes import ONLY_OPENAI, run_python

TEXT = (Path(__file__).parents[1] / "README.md").read_text()
CONSOLE = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=[re.sub(r"\W+", " ", block)[:40] for block in BLOCKS])
def test_a_code_block_runs(block: str, posthog: LocalPostHog) -> None:
    pytest.importorskip("openinference.instrumentation.openai")
    from examples.fake_llm import FakeLLM

    with FakeLLM() as llm:
        environment = {
            "POSTHOG_API_KEY": "phc_readme",
            "POSTHOG_HOST": posthog.url,
            "OPENAI_BASE_URL": llm.url,
            "OPENAI_API_KEY": "any",
        }
        done = run_python(block, environment)
    assert done.returncode == 0, done.stderr
    if "start_as_current_span" in block or "OpenAI()" in block:
        assert len(posthog.wait_for(1)) == 1


def test_the_variables_of_the_first_way_are_enough(posthog: LocalPostHog) -> None:
    pytest.importorskip("openinference.instrumentation.openai")
    from examples.fake_llm import FakeLLM

    (console,) = (block for block in CONSOLE if "opentelemetry-instrument " in block)
    variables = dict(re.findall(r"^export (\w+)=(\S+)", console, re.MULTILINE))
    app = "import runpy; runpy.run_module('examples.zero_code', run_name='__main__')"
    with FakeLLM() as llm:
        local = {"POSTHOG_HOST": posthog.url, "OPENAI_BASE_URL": llm.url, "OPENAI_API_KEY": "any"}
        environment = {**variables, "POSTHOG_API_KEY": "phc_readme", **local, **ONLY_OPENAI}
        done = run_python(app, environment, launcher="opentelemetry-instrument")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    calls = [event for event in posthog.events() if event["event"] == "$ai_generation"]
    assert [call["properties"]["$ai_input"][-1]["content"] for call in calls] == ["What is the capital of France?"]


def test_the_readme_has_the_three_ways_in() -> None:
    assert len(BLOCKS) >= 5
    assert "OTEL_TRACES_EXPORTER=posthog" in TEXT
