"""Which LLM clients are installed, what traces them, and whether prompts and answers are recorded.

Switches and defaults as observed in the versions named in the table, November 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, entry_points

from otel_posthog.doctor._report import Line, Setup
from otel_posthog.doctor.configuration import CMC

# LLM clients and frameworks by distribution, and a package that traces each.
CLIENTS = {
    "openai": "openinference-instrumentation-openai",
    "anthropic": "openinference-instrumentation-anthropic",
    "google-genai": "openinference-instrumentation-google-genai",
    "mistralai": "openinference-instrumentation-mistralai",
    "groq": "openinference-instrumentation-groq",
    "cohere": "opentelemetry-instrumentation-cohere",
    "ollama": "opentelemetry-instrumentation-ollama",
    "litellm": "openinference-instrumentation-litellm",
    "langchain-core": "openinference-instrumentation-langchain",
    "llama-index-core": "openinference-instrumentation-llama-index",
    "openai-agents": "openinference-instrumentation-openai-agents",
    "crewai": "openinference-instrumentation-crewai",
    "dspy": "openinference-instrumentation-dspy",
    "smolagents": "openinference-instrumentation-smolagents",
    "haystack-ai": "openinference-instrumentation-haystack",
    "agno": "openinference-instrumentation-agno",
}


@dataclass(frozen=True, slots=True)
class Switch:
    """What decides whether content is recorded: a variable, the values that turn it ``on`` or ``off``, the value to
    ``set``, and the ``default``. ``note`` is for what no variable decides."""

    variable: str = ""
    on: frozenset[str] = frozenset()
    off: frozenset[str] = frozenset()
    set: str = ""
    default: bool = True
    note: str = ""

    def is_on(self, environ: Mapping[str, str]) -> bool:
        """Whether content is recorded."""
        value = environ.get(self.variable, "").strip().lower()
        if not value:
            return self.default
        return value in self.on if self.on else value not in self.off


_FALSE = frozenset({"false", "0", "no", "off"})
_TRUE = frozenset({"true", "1", "yes", "on"})
_BOOLEAN = Switch(CMC, on=frozenset({"true"}), set="true", default=False)
_MODES = frozenset({"span_only", "event_only", "span_and_event"})
_MODE = Switch(CMC, on=_MODES, set="SPAN_ONLY", default=False)
_OPENINFERENCE = (
    Switch("OPENINFERENCE_HIDE_INPUTS", off=_TRUE, set="false"),
    Switch("OPENINFERENCE_HIDE_OUTPUTS", off=_TRUE, set="false"),
)
_OPENLLMETRY = (Switch("TRACELOOP_TRACE_CONTENT", off=_FALSE, set="true"),)

# By distribution. OpenInference and OpenLLMetry are found by name below.
SWITCHES: dict[str, tuple[Switch, ...]] = {
    "opentelemetry-instrumentation-openai-v2": (_BOOLEAN,),  # 2.4b0
    "opentelemetry-instrumentation-botocore": (_BOOLEAN,),  # 0.66b2
    "opentelemetry-instrumentation-genai-openai": (_MODE,),
    "opentelemetry-instrumentation-genai-anthropic": (_MODE,),
    "opentelemetry-instrumentation-genai-openai-agents": (_MODE,),
    "opentelemetry-instrumentation-google-genai": (_MODE,),  # 1.3b0
    "openlit": (Switch(CMC, off=_FALSE, set="true"),),  # 1.45
    "logfire": (Switch(),),  # 5.4
    "pydantic-ai-slim": (Switch(note="InstrumentationSettings(include_content=…)"),),  # 2.68
    "langsmith": (Switch("LANGSMITH_HIDE_INPUTS", off=_TRUE, set="false"),),  # 0.15
    "langfuse": (Switch("LANGFUSE_OBSERVE_DECORATOR_IO_CAPTURE_ENABLED", off=_FALSE, set="true"),),  # 5
    "litellm": (Switch(CMC, off=_FALSE, set="true"),),  # 1.110
    "strands-agents": (Switch(),),  # 1.62
    "google-adk": (Switch(CMC, on=_MODES | _TRUE, set="true", default=False),),  # 2.13
    "agent-framework-core": (Switch("ENABLE_SENSITIVE_DATA", on=_TRUE, set="true", default=False),),  # 1.23
}
# Frameworks and SDKs that trace calls themselves once the app turns it on.
SELF_TRACING = {
    "pydantic-ai-slim": "Agent.instrument_all()",
    "strands-agents": "on by itself",
    "google-adk": "on by itself",
    "agent-framework-core": "setup_observability()",
    "logfire": "logfire.instrument_openai() and the like",
    "openlit": "openlit.init()",
    "langfuse": "@observe or langfuse.openai",
    "traceloop-sdk": "Traceloop.init()",
    "langsmith": "LANGSMITH_TRACING_MODE=otel",
}
_NEEDS_PRIVATE_PROVIDER_NOTE = "keeps its own spans in a private provider, so it needs an instrumentation"


def check_instrumentations(setup: Setup) -> Iterator[Line]:
    """Clients, what traces them, version conflicts, and switches of content."""
    clients = {name: found.version for name in CLIENTS if (found := installed(name))}
    tracing = {name: how for name, how in SELF_TRACING.items() if installed(name)}
    if setup.environ.get("LANGSMITH_TRACING", "").strip().lower() != "true":
        tracing.pop("langsmith", None)  # LangChain installs it in any case
    if not clients and not tracing:
        yield Line(
            "instrumentations",
            "warning",
            "No LLM client that we know is installed for this interpreter.",
            "run the doctor with the Python of your app: python -m otel_posthog.cli doctor",
        )
    owners = instrumentors()
    for client, client_version in clients.items():
        own = [name for name in owners if client in instrumented_by(owners[name])]
        yield from _client(client, client_version, own, tracing)
    for name, entry in owners.items():
        if clients.keys() & instrumented_by(entry).keys():
            yield from _conflicts(name, entry)
            yield from content_of(name, setup.environ)
    for name, how in tracing.items():
        yield Line("instrumentations", "info", f"{name} traces by itself ({how}).")
        yield from content_of(name, setup.environ)
    if installed("crewai"):
        yield Line("instrumentations", "info", f"crewai {_NEEDS_PRIVATE_PROVIDER_NOTE}.")
    yield from _langsmith(setup.environ)
    yield from _disabled(setup.environ, owners)


def _disabled(environ: Mapping[str, str], owners: Mapping[str, EntryPoint]) -> Iterator[Line]:
    """Several distributions share the names that this variable takes."""
    variable = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
    for name in filter(None, (part.strip() for part in environ.get(variable, "").split(","))):
        off = sorted(distribution for distribution, entry in owners.items() if entry.name == name)
        if off and name in {part.partition("-")[0] for part in CLIENTS}:
            text = f"{variable} switches off all that trace {name}: {', '.join(off)}."
            yield Line("instrumentations", "warning", text, f"take {name} out of {variable}")


def installed(name: str) -> Distribution | None:
    """The distribution, if it is installed."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def instrumentors() -> dict[str, EntryPoint]:
    """OpenTelemetry instrumentations by distribution."""
    return {e.dist.name.lower(): e for e in entry_points(group="opentelemetry_instrumentor") if e.dist is not None}


def instrumented_by(entry: EntryPoint) -> dict[str, str]:
    """The packages that an instrumentation is for, with the versions it wants: its extra ``instruments``."""
    from packaging.requirements import InvalidRequirement, Requirement  # comes with every instrumentation

    found = {}
    for text in (entry.dist.requires if entry.dist else None) or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}):  # needed in any case
            continue
        if any(marker.evaluate({"extra": extra}) for extra in ("instruments", "instruments-any")):
            found[requirement.name.lower()] = str(requirement.specifier)
    return found


def _client(client: str, client_version: str, owners: list[str], tracing: Mapping[str, str]) -> Iterator[Line]:
    if not owners and not tracing:
        yield Line(
            "instrumentations",
            "warning",
            f"{client} {client_version} is installed, and nothing traces it.",
            f"pip install {CLIENTS[client]}",
        )
    elif not owners:
        yield Line("instrumentations", "info", f"{client} {client_version}: no instrumentation of its own.")
    else:
        yield Line("instrumentations", "ok", f"{client} {client_version} is traced by {' and '.join(sorted(owners))}.")
    if len(owners) > 1:
        yield Line(
            "instrumentations",
            "warning",
            f"{len(owners)} libraries trace {client}. A call is still counted once, but each of them costs time.",
            f"pip uninstall {sorted(owners)[-1]}",
        )


# What is known to fix an import that fails.
_REPAIRS = {"opentelemetry-instrumentation-openai-v2": 'pip install "openai<3" "opentelemetry-util-genai<1"'}


def _conflicts(name: str, entry: EntryPoint) -> Iterator[Line]:
    from packaging.specifiers import SpecifierSet

    for client, wanted in instrumented_by(entry).items():
        found = installed(client)
        if found and not SpecifierSet(wanted).contains(found.version, prereleases=True):
            yield Line(
                "instrumentations",
                "fault",
                f"{name} wants {client}{wanted}, you have {found.version}: it does nothing.",
                f'pip install "{client}{wanted}"',
            )
            return
    try:
        entry.load()
    except Exception as error:  # whatever a foreign module raises
        reason = str(error).splitlines()[0] if str(error) else ""
        repair = _REPAIRS.get(name, f"pip install --upgrade {name}")
        text = f"{name} cannot be imported: {type(error).__name__}: {reason}"
        yield Line("instrumentations", "fault", text, repair)


def content_of(name: str, environ: Mapping[str, str]) -> Iterator[Line]:
    """Whether an instrumentation records prompts and answers, and the switch that makes it."""
    for switch in _switches(name, environ):
        if not switch.is_on(environ):
            value = environ.get(switch.variable, "").strip()
            state = f"{switch.variable}={value} means none" if value else "by default"
            yield Line(
                "instrumentations",
                "warning",
                f"{name} records no prompts and answers ({state}): calls arrive without text.",
                f"export {switch.variable}={switch.set}",
            )
            return
    yield Line("instrumentations", "ok", f"{name} records prompts and answers.")


def _switches(name: str, environ: Mapping[str, str]) -> tuple[Switch, ...]:
    if name == "opentelemetry-instrumentation-openai-v2":
        opt_in = environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").split(",")
        return (_MODE,) if "gen_ai_latest_experimental" in [part.strip() for part in opt_in] else (_BOOLEAN,)
    if name == "opentelemetry-instrumentation-vertexai":  # OpenTelemetry's own is 2.x, OpenLLMetry's 0.x
        found = installed(name)
        return _OPENLLMETRY if found and found.version.startswith("0.") else (_BOOLEAN,)
    if name in SWITCHES:
        return SWITCHES[name]
    return _OPENINFERENCE if name.startswith("openinference-") else _OPENLLMETRY


def _langsmith(environ: Mapping[str, str]) -> Iterator[Line]:
    tracing = environ.get("LANGSMITH_TRACING", "").strip().lower() == "true"
    mode = environ.get("LANGSMITH_TRACING_MODE", "").strip().lower()
    if tracing and mode not in ("otel", "hybrid"):
        yield Line(
            "instrumentations",
            "warning",
            "LangSmith traces to its own server only.",
            "export LANGSMITH_TRACING_MODE=hybrid",
        )
