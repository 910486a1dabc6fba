"""What the real PostHog would do to an event that it accepted: drop, merge, null, misread or count it twice.

Sources: PostHog's ingestion and trace view, read in 2026. Each check returns sentences, mostly none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

from otel_posthog.local.contract import DISTINCT_ID_LIMIT, REFUSED_DISTINCT_IDS
from otel_posthog.local.prices import PRICED_EVENTS, is_anthropic, is_exclusive
from otel_posthog.local.store import StoredEvent

Effect = Literal["dropped", "merged", "nulled", "cut", "misread", "counted twice"]
Finding = tuple[Effect, str]

_KNOWN_EVENTS = frozenset(
    {"$ai_generation", "$ai_embedding", "$ai_span", "$ai_trace", "$ai_evaluation", "$ai_metric", "$ai_feedback"}
)
_GATEWAYS = re.compile(r"(https?://)?ai-gateway\.(us|eu)\.posthog\.com(?=$|[/:])")
_TRACE_ID = re.compile(r"[A-Za-z0-9_~.@()!':|-]+")
_NUMBERS = re.compile(r"\$ai_(\w+_)?tokens|\$ai_latency|\$ai_time_to_first_token|\$ai_\w+_(usd|price)")


def findings_of(event: StoredEvent, doubles: int = 0) -> list[Finding]:
    """Everything that a sender should know about the event; ``doubles`` as `catalogue.doubles` counts them."""
    found = [finding for check in _CHECKS for finding in check(event, event["properties"])]
    if doubles:
        others = "Another event" if doubles == 1 else f"{doubles} other events"
        verb = "has" if doubles == 1 else "have"
        found.append(
            ("counted twice", f"{others} of this trace {verb} the same span id: PostHog keeps and counts them all.")
        )
    return found


def _dropped(event: StoredEvent, properties: dict[str, Any]) -> Iterator[Finding]:
    address = str(properties.get("$ai_base_url") or "")
    if event["event"] == "$ai_generation" and _GATEWAYS.match(address):
        yield "dropped", "$ai_base_url is PostHog's AI gateway, which sends this generation itself."


def _merged(event: StoredEvent, properties: dict[str, Any]) -> Iterator[Finding]:
    if event["deliveries"] > 1:
        yield "merged", f"Came {event['deliveries']} times with the same uuid; PostHog merges them eventually."


def _nulled(event: StoredEvent, properties: dict[str, Any]) -> Iterator[Finding]:
    for name, value in properties.items():
        if value is None or not _NUMBERS.fullmatch(name):
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            yield "nulled", f"{name} must be a finite number."


def _ids(event: StoredEvent, properties: dict[str, Any]) -> Iterator[Finding]:
    if not event["event"].startswith("$ai_"):
        return
    if event["event"] not in _KNOWN_EVENTS:
        yield "misread", f"LLM analytics knows no event of the name {event['event'][:80]}."
    trace_id = properties.get("$ai_trace_id")
    if trace_id in (None, ""):
        yield "misread", "Without $ai_trace_id the event is in no trace."
    elif not _TRACE_ID.fullmatch(str(trace_id)):
        yield "misread", "$ai_trace_id has characters that PostHog does not allow in a trace id."
    for name in ("$ai_trace_id", "$ai_session_id", "$ai_span_id", "$ai_parent_id"):
        if properties.get(name) is not None and not isinstance(properties[name], str):
            yield "misread", f"{name} is turned into a string."


def _user(event: StoredEvent, properties: dict[str, Any]) -> Iterator[Finding]:
    if event["distinct_id"].lower() in REFUSED_DISTINCT_IDS:
        yield "dropped", "The newer capture endpoints (v1) refuse this distinct_id."
    if len(event["distinct_id"]) >= DISTINCT_ID_LIMIT:
        yield "cut", f"distinct_id is cut after {DISTINCT_ID_LIMIT} characters."


def _costs(event: StoredEvent, properties: dict[str, Any]) -> Iterator[Finding]:
    if event["event"] not in PRICED_EVENTS:
        if any(properties.get(f"$ai_{side}_tokens") is not None for side in ("input", "output")):
            yield "misread", "Tokens count for generations and embeddings only."
        return
    written = properties.get("$ai_cache_creation_input_tokens")
    if written and not is_anthropic(properties) and is_exclusive(properties):
        yield "misread", "Cache writes outside the input are free for every provider but Anthropic."
    read = properties.get("$ai_cache_read_input_tokens")
    tokens = properties.get("$ai_input_tokens")
    if isinstance(read, int) and isinstance(tokens, int) and read > tokens and not is_exclusive(properties):
        yield "misread", "More tokens from the cache than input: set $ai_cache_reporting_exclusive to true."


def _trace_latency(event: StoredEvent, properties: dict[str, Any]) -> Iterator[Finding]:
    if event["event"] == "$ai_trace" and properties.get("$ai_latency") is not None:
        yield "misread", "The trace's latency is added to that of the spans directly below it."


_CHECKS: tuple[Callable[[StoredEvent, dict[str, Any]], Iterator[Finding]], ...] = (
    _dropped,
    _merged,
    _nulled,
    _ids,
    _user,
    _costs,
    _trace_latency,
)
