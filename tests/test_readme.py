"""The README's code runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otel_posthog.local import LocalPostHog
from tests.support.processes import run_python

TEXT = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=[re.sub(r"\W+", " ", block)[:40] for block in BLOCKS])
def test_a_code_block_runs(block: str, posthog: LocalPostHog) -> None:
    pytest.importorskip("opentelemetry.instrumentation.openai_v2")
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


def test_the_readme_has_the_three_ways_in() -> None:
    assert len(BLOCKS) >= 5
    assert "OTEL_TRACES_EXPORTER=posthog" in TEXT
