"""Tool definitions in the shapes of OpenAI chat and responses, Anthropic, Gemini, Bedrock, Vercel and OpenTelemetry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_posthog._model import Json, Tool
from otel_posthog.conventions._attributes import parse_json
from otel_posthog.conventions._json import first, string

_SCHEMA_KEYS = ("parameters", "input_schema", "inputSchema", "parameters_json_schema", "parametersJsonSchema", "schema")
_KNOWN_KEYS = frozenset(("name", "type", "description", *_SCHEMA_KEYS))
_NO_NAMES = frozenset(("object", "function", "custom"))  # types of schemas and of tools, not built-in tools


def tool_of(value: Json) -> Tool | None:
    """A tool from one definition; ``None`` if it has no name."""
    if isinstance(value, str):
        written = parse_json(value)
        return tool_of(written) if isinstance(written, Mapping) else Tool(value) if value else None
    if not isinstance(value, Mapping):
        return None
    definition: dict[str, Any] = dict(value)
    for nested in ("function", "toolSpec", "custom"):
        if isinstance(definition.get(nested), Mapping):
            definition = dict(definition[nested])
    kind = string(definition.get("type"))
    name = string(definition.get("name")) or (kind if kind not in _NO_NAMES else None)
    if not name:
        return None
    schema = parse_json(first(definition, *_SCHEMA_KEYS))
    if isinstance(schema, dict) and set(schema) == {"json"}:  # Bedrock
        schema = schema["json"]
    extra = {k: v for k, v in definition.items() if k not in _KNOWN_KEYS and v is not None}
    return Tool(name, string(definition.get("description")) or None, schema, extra)


def tools_of(value: Json) -> list[Tool] | None:
    """Tools from a list of definitions, in groups (Gemini) or not, or from an object; ``None`` if there are none.

    Lists and definitions may be JSON texts themselves (Mistral SDK 2.0, Langtrace 3.8).
    """
    value = parse_json(value)
    if isinstance(value, Mapping):
        grouped = first(dict(value), "tools", "function_declarations", "functionDeclarations", "functions")
        value = [value] if grouped is None else grouped
    found: list[Tool] = []
    for item in value if isinstance(value, (list, tuple)) else ():
        written = parse_json(item)
        declarations = (
            first(dict(written), "function_declarations", "functionDeclarations")
            if isinstance(written, Mapping)
            else written
        )
        for one in declarations if isinstance(declarations, list) else [written]:
            tool = tool_of(one)
            if tool is not None:
                found.append(tool)
    return found or None


def tools_in(request: Mapping[str, Any]) -> Json:
    """The tools of a request: at its top, in Gemini's config, or among the other arguments of a method (Portkey)."""
    below = [request[name] for name in ("config", "kwargs") if isinstance(request.get(name), Mapping)]
    return next((tools for place in (request, *below) if (tools := first(dict(place), "tools", "functions"))), None)
