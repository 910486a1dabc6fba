"""The code of docs/recipes runs as it stands, with the real libraries, and what each page says arrives, once.

A page whose libraries are not installed is skipped; ``make test-recipes`` installs them, and REQUIRE_RECIPES=GROUP
makes a skip of that group's pages a failure.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import requests

from otel_posthog.local import LocalPostHog
from tests.support.llm import FakeLLM

PAGES = Path(__file__).parents[1] / "docs" / "recipes"
_START = 150.0  # seconds for a server to start: it imports much, and several tests share a core
pytestmark = pytest.mark.timeout(400)

QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris."
USER = "user-8812"


@dataclass(frozen=True)
class Recipe:
    """A page whose scripts are run, and the events that arrive from one run of each. ``group`` is the dependency group
    with its libraries, ``modules`` are some of those."""

    page: str
    group: str
    modules: tuple[str, ...]
    events: Mapping[str, int] = field(default_factory=lambda: {"$ai_generation": 1})
    session: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)


OPENAI = ("openinference.instrumentation.openai", "openai")
TRACED = {"$ai_generation": 1, "$ai_trace": 1}
IN_SPANS = {"$ai_generation": 1, "$ai_span": 1, "$ai_trace": 1}
CONTENT = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
NOWHERE = "http://127.0.0.1:9"
LANGFUSE = {"LANGFUSE_PUBLIC_KEY": "pk-lf-1", "LANGFUSE_SECRET_KEY": "sk-lf-1", "LANGFUSE_HOST": NOWHERE}
TRACELOOP = {"TRACELOOP_TELEMETRY": "false", "TRACELOOP_BASE_URL": NOWHERE, "TRACELOOP_API_KEY": "any"}
SCRIPTS = (
    Recipe("phoenix", "recipes", ("phoenix.otel", *OPENAI), env={"PHOENIX_COLLECTOR_ENDPOINT": NOWHERE}),
    Recipe("logfire", "recipes", ("logfire", "openai")),
    Recipe("langfuse", "recipes", ("langfuse", "openai"), TRACED, env=LANGFUSE),
    Recipe("traceloop", "recipes", ("traceloop.sdk", "openai"), TRACED, env=TRACELOOP),
    Recipe("pydantic-ai", "recipes", ("pydantic_ai", "openai"), TRACED, "chat-1"),
    Recipe("langchain", "recipes", ("openinference.instrumentation.langchain", "langgraph"), IN_SPANS, "chat-1"),
    Recipe(
        "openai-agents",
        "recipes",
        ("agents", "openinference.instrumentation.openai_agents"),
        {"$ai_generation": 1, "$ai_span": 3, "$ai_trace": 1},
        "chat-1",
    ),
    Recipe("google-adk", "recipes-agents", ("google.adk",), IN_SPANS, "chat-1", CONTENT),
    Recipe("crewai", "recipes-agents", ("crewai", "openinference.instrumentation.crewai"), IN_SPANS, "chat-1"),
    Recipe("llama-index", "recipes-agents", ("openinference.instrumentation.llama_index",), session="chat-1"),
    Recipe("strands", "recipes-agents", ("strands", "openai"), IN_SPANS, "chat-1"),
    Recipe(
        "litellm",
        "recipes-litellm",
        ("litellm", "openinference.instrumentation.litellm"),
        session="chat-1",
        env={"LITELLM_LOCAL_MODEL_COST_MAP": "true"},
    ),
    Recipe("several-projects", "recipes", OPENAI, {"$ai_generation": 2}),
    Recipe("migrating-from-posthog-otel", "recipes", OPENAI),
    Recipe("migrating-from-posthog-ai", "recipes", OPENAI),
    Recipe("migrating-from-otlp", "recipes", OPENAI),
)


def code_of(page: str, language: str = "python") -> tuple[list[str], dict[str, str]]:
    """The blocks without a title, and those with one by their title."""
    found = re.findall(rf'```{language}(?: title="([^"]+)")?\n(.*?)```', (PAGES / f"{page}.md").read_text(), re.DOTALL)
    return [code for title, code in found if not title], {title: code for title, code in found if title}


def need(group: str, *modules: str) -> None:
    """Skip the test if a module is not installed, unless its group has been."""
    for module in modules:
        try:
            is_installed = find_spec(module) is not None
        except ModuleNotFoundError:
            is_installed = False
        if not is_installed and os.environ.get("REQUIRE_RECIPES") == group:
            pytest.fail(f"{module} is not installed")
        if not is_installed:
            pytest.skip(f"{module} is not installed (make test-recipes)")


class Site:
    """A folder to run programs in, with a local PostHog and an LLM."""

    def __init__(self, posthog: LocalPostHog, llm: FakeLLM, folder: Path) -> None:
        self.posthog, self.folder = posthog, folder
        self.env = os.environ | {
            "POSTHOG_API_KEY": "phc_recipes",
            "POSTHOG_HOST": posthog.url,
            "OPENAI_BASE_URL": f"{llm.url}/v1",
            "OPENAI_API_BASE": f"{llm.url}/v1",
            "OPENAI_API_KEY": "any",
            "OPENAI_AGENTS_DISABLE_TRACING": "0",
            "GOOGLE_API_KEY": "any",
            "GOOGLE_GEMINI_BASE_URL": llm.url,
            "GOOGLE_GENAI_USE_VERTEXAI": "FALSE",
            "CREWAI_DISABLE_TELEMETRY": "true",
            "LITELLM_LOCAL_MODEL_COST_MAP": "true",
            "PYTHONPATH": str(folder),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.env | env, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return done

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            (self.folder / name).write_text(text)

    @contextmanager
    def serve(self, command: str, **env: str) -> Iterator[str]:
        """A server at a free port, ended by SIGTERM; gives its address."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        bind = f"--bind 127.0.0.1:{port}" if "gunicorn" in command else f"--port {port}"
        with (self.folder / "log").open("w") as log:
            words = shlex.split(f"{command} {bind}")
            server = subprocess.Popen(words, cwd=self.folder, env=self.env | env, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(30)
            finally:
                server.kill()

    def get(self, url: str, **headers: str) -> None:
        """Ask until the server is up; the answer has to be good."""
        until = time.monotonic() + _START
        while True:
            try:
                requests.get(url, headers=headers, timeout=_START).raise_for_status()
                return
            except requests.ConnectionError:
                assert time.monotonic() < until, (self.folder / "log").read_text()
                time.sleep(0.1)

    def events(self) -> list[dict[str, Any]]:
        """What has arrived, each event once."""
        found: list[dict[str, Any]] = self.posthog.events()
        assert {event["deliveries"] for event in found} <= {1}
        return found

    def calls(self) -> list[dict[str, Any]]:
        """The generations, each with its question and answer."""
        found = [event for event in self.events() if event["event"] == "$ai_generation"]
        for call in found:
            assert QUESTION in json.dumps(call["properties"]["$ai_input"])
            assert ANSWER in json.dumps(call["properties"]["$ai_output_choices"])
            assert (call["properties"]["$ai_input_tokens"], call["properties"]["$ai_output_tokens"]) == (31, 8)
        return found


@pytest.fixture
def site(posthog: LocalPostHog, tmp_path: Path) -> Iterator[Site]:
    with FakeLLM() as llm:
        yield Site(posthog, llm, tmp_path)


@pytest.mark.parametrize("recipe", SCRIPTS, ids=lambda recipe: recipe.page)
def test_a_script(recipe: Recipe, site: Site) -> None:
    need(recipe.group, *recipe.modules)
    scripts, _ = code_of(recipe.page)
    for script in scripts:
        done = site.run(sys.executable, "-c", script, **recipe.env)
        assert "Traceback" not in done.stderr
    assert Counter(event["event"] for event in site.events()) == recipe.events
    calls = site.calls()
    assert len(calls) == recipe.events["$ai_generation"]
    assert {event["distinct_id"] for event in site.events()} == {USER}
    sessions = {event["properties"].get("$ai_session_id") for event in site.events()}
    assert sessions == {recipe.session}


def test_each_project_has_its_own_call(site: Site) -> None:
    need("recipes", *OPENAI)
    (script,), _ = code_of("several-projects")
    site.run(sys.executable, "-c", script)
    keys = [row[0] for row in site.posthog.store.rows("SELECT project FROM events ORDER BY project")]
    assert keys == ["phc_acme", "phc_globex"]


def test_the_order_of_setup(site: Site) -> None:
    (script,), _ = code_of("order-of-setup")
    assert site.run(sys.executable, "-c", script).stderr == ""
    (event,) = site.events()
    assert (event["event"], event["distinct_id"]) == ("$ai_generation", USER)


LATE = "A library has set up its own tracer provider after PostHog was configured"
# In the table of docs/recipes/order-of-setup.md: page, the line of the other library, events in the wrong order
ORDERS = [
    ("phoenix", "register(batch=True)\n", 1, True, {"PHOENIX_COLLECTOR_ENDPOINT": NOWHERE}),
    ("logfire", 'logfire.configure(send_to_logfire="if-token-present")\n', 0, True, {}),
    ("langfuse", "get_client()", 1, False, LANGFUSE),
    ("traceloop", "Traceloop.init(", 1, False, TRACELOOP),
]


@pytest.mark.parametrize(("page", "line", "calls", "is_late", "env"), ORDERS, ids=[row[0] for row in ORDERS])
def test_configure_first_works_or_is_an_error(
    page: str, line: str, calls: int, is_late: bool, env: Mapping[str, str], site: Site
) -> None:
    recipe = next(recipe for recipe in SCRIPTS if recipe.page == page)
    need(recipe.group, *recipe.modules)
    (script,), _ = code_of(page)
    late = re.sub(r"^otel_posthog\.configure\(\).*$", "", script, flags=re.MULTILINE)
    assert line in late
    done = site.run(sys.executable, "-c", late.replace(line, f"otel_posthog.configure()\n{line}", 1), **env)
    assert (LATE in done.stderr) is is_late
    assert len(site.calls()) == calls


# --- servers and workers

WEB = [
    ("fastapi", "uvicorn app:app", ("fastapi", "uvicorn", *OPENAI)),
    ("django", "gunicorn app:application", ("django", "gunicorn", *OPENAI)),
    ("flask", "gunicorn app:app", ("flask", "gunicorn", "opentelemetry.instrumentation.flask", *OPENAI)),
]


@pytest.mark.parametrize(("page", "command", "modules"), WEB, ids=[row[0] for row in WEB])
def test_every_request_has_its_user(page: str, command: str, modules: tuple[str, ...], site: Site) -> None:
    need("recipes", *modules)
    site.write(code_of(page)[1])
    assert f"\n{command}\n" in (PAGES / f"{page}.md").read_text()
    with site.serve(command) as url:
        for user in ("ada", "grace"):
            site.get(url, **{"x-user": user})
    assert sorted(call["distinct_id"] for call in site.calls()) == ["ada", "grace"]


COMMANDS = re.findall(r"^\| `([^`]+app:app[^`]*)` \|", (PAGES / "gunicorn-uvicorn.md").read_text(), re.MULTILINE)
ZERO_CODE = {"OTEL_TRACES_EXPORTER": "posthog", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_ends_before_sigterm_arrives(command: str, site: Site) -> None:
    need("recipes", "fastapi", "uvicorn", "uvicorn_worker", *OPENAI)
    site.write(code_of("gunicorn-uvicorn")[1])
    env = ZERO_CODE if command.startswith("opentelemetry-instrument") else {}
    with site.serve(command, **env) as url:
        for _ in range(3):
            site.get(url)
    if "--reload" in command:  # its supervisor ends before its child
        site.posthog.wait_for(3)
    assert [call["distinct_id"] for call in site.calls()] == [USER] * 3


def test_the_lifespan_flushes_a_worker_that_gunicorn_has_forked(site: Site) -> None:
    need("recipes", "fastapi", "uvicorn_worker", "gunicorn", *OPENAI)
    site.write(code_of("fastapi")[1])
    with site.serve("gunicorn app:app -k uvicorn_worker.UvicornWorker --preload") as url:
        site.get(url, **{"x-user": USER})
    assert [call["distinct_id"] for call in site.calls()] == [USER]


def test_the_commands_are_found_in_the_page() -> None:
    assert len(COMMANDS) == 5


def test_a_celery_worker(site: Site) -> None:
    need("recipes", "celery", *OPENAI)
    files = code_of("celery")[1]
    for name in ("in", "done"):
        (site.folder / name).mkdir()
    folders = {"data_folder_in": "in", "data_folder_out": "in", "processed_folder": "done"}
    broker = f'broker_url = "filesystem://"\nbroker_transport_options = {folders!r}\n'
    assert "celeryconfig.py" in files
    site.write({**files, "celeryconfig.py": broker})
    site.run(sys.executable, "-c", f"from tasks import answer; answer.delay({QUESTION!r}, {USER!r})")
    with (site.folder / "log").open("w") as log:
        command = ["celery", "-A", "tasks", "worker", "--concurrency", "1", "--without-mingle", "--without-gossip"]
        worker = subprocess.Popen(command, cwd=site.folder, env=site.env, stdout=log, stderr=log)
    try:
        site.posthog.wait_for(1, timeout=_START)
    finally:
        worker.terminate()
        worker.wait(30)
    assert [call["distinct_id"] for call in site.calls()] == [USER]


def test_a_lambda_function_that_is_frozen_after_its_call(site: Site) -> None:
    need("recipes", *OPENAI)
    site.write(code_of("aws-lambda")[1])
    code = f"""
import os, lambda_function
assert lambda_function.handler({{"user": {USER!r}, "question": {QUESTION!r}}}, None) == {ANSWER!r}
os._exit(0)  # nothing runs after the handler
"""
    site.run(sys.executable, "-c", code)
    assert [call["distinct_id"] for call in site.calls()] == [USER]


def test_a_notebook_whose_cells_are_run_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    need("recipes", "nbclient", "ipykernel", *OPENAI)
    cells = code_of("notebooks")[0]
    notebook = site.folder / "notebook.py"
    private = cells[0].replace("configure(", "configure(capture_content=False, ")
    again = f"try:\n    exec({private!r})\nexcept otel_posthog.ConfigurationError as error:\n    print(error)"
    notebook.write_text(f"""
import nbclient, nbformat
notebook = nbformat.v4.new_notebook()
notebook.cells = [nbformat.v4.new_code_cell(code) for code in {[*cells, *cells, again]!r}]
nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
print("".join(output.text for output in notebook.cells[-1].outputs if output.output_type == "stream"))
""")
    done = site.run(sys.executable, str(notebook), JUPYTER_PLATFORM_DIRS="1", IPYTHONDIR=str(site.folder))
    assert [call["distinct_id"] for call in site.calls()] == [USER] * 2
    assert "capture_content cannot be changed now: PostHog is already configured. Call shutdown()" in done.stdout


def test_a_litellm_proxy(site: Site) -> None:
    need("recipes-litellm", "litellm", "openinference.instrumentation.litellm")
    need("recipes-litellm", "backoff", "apscheduler")  # of its extra
    site.write(code_of("litellm")[1] | code_of("litellm", "yaml")[1])
    key = f"sk-{secrets.token_hex(32)}"
    with site.serve("litellm --config config.yaml", LITELLM_TELEMETRY="False", LITELLM_MASTER_KEY=key) as url:
        site.get(f"{url}/health/liveliness")
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": QUESTION}], "user": USER}
        headers = {"Authorization": f"Bearer {key}"}
        requests.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30).raise_for_status()
        site.posthog.wait_for(1, timeout=30)
    assert len(site.calls()) == 1


def test_the_programs_for_node_are_those_of_the_bridges_tests() -> None:
    programs = Path(__file__).parent / "bridge" / "node"
    found = code_of("vercel-ai", "js")[1]
    assert list(found) == ["provider.mjs", "vercel_ai.mjs"]
    assert [name for name, code in found.items() if code != (programs / name).read_text()] == []


# --- half a migration

HALF = {
    "migrating-from-posthog-ai": (
        "from openai import OpenAI",
        "import os\nfrom posthog import Posthog\nfrom posthog.ai.openai import OpenAI as Wrapped\n"
        "client = Posthog(os.environ['POSTHOG_API_KEY'], host=os.environ['POSTHOG_HOST'])\n"
        "OpenAI = lambda: Wrapped(posthog_client=client)\n",
        "posthog.ai.openai",
    ),
    "migrating-from-posthog-otel": (
        "provider = TracerProvider()",
        "import posthog.ai.otel\nprovider = TracerProvider()\n"
        "provider.add_span_processor(posthog.ai.otel.PostHogSpanProcessor(api_key='phc_recipes', host='http://x.invalid'))\n",
        "posthog.ai.otel",
    ),
}


@pytest.mark.parametrize("page", HALF)
def test_half_a_migration_is_said_once(page: str, site: Site) -> None:
    need("recipes", "posthog.ai.otel", *OPENAI)
    (script,), _ = code_of(page)
    line, half, module = HALF[page]
    done = site.run(sys.executable, "-c", script.replace(line, half, 1))
    assert done.stderr.count(f"{module} is in use as well and sends its calls to PostHog by itself") == 1


# --- all pages


def test_every_page_is_tested_and_listed() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"index"}
    tested = {recipe.page for recipe in SCRIPTS} | {page for page, *_ in WEB}
    tested |= {"order-of-setup", "gunicorn-uvicorn", "celery", "aws-lambda", "notebooks", "vercel-ai"}
    assert tested == pages
    listed = set(re.findall(r"\(([\w-]+)\.md\)", (PAGES / "index.md").read_text()))
    assert listed == pages


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_a_page_is_short_and_has_all_parts(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 90
    if path.stem not in ("index", "order-of-setup", "gunicorn-uvicorn"):
        assert "What arrives:" in text
        assert "## Pitfalls" in text
