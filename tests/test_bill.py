"""What PostHog charges for an event is what the provider charged for the call, on every recording with the counts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support import recordings
from tests.support.events import events_of
from tests.support.price_engine import Prices, bill_of, is_anthropic_style
from tests.support.truth import telemetry_of

Json = Any

# Not a real price list: all prices differ, so that a count in the wrong place shows. Other models than Anthropic's have
# no price for cache writes, which cost what other input costs.
PRICES = Prices(prompt=3e-6, completion=15e-6, cache_read=0.3e-6, cache_write=3.75e-6)

# Calls whose telemetry does not have the provider's counts: (recording, call) and why.
NOT_COUNTED: dict[tuple[str, int], str] = {
    ("langfuse", 0): "the usage was written by hand: 4 cached tokens that the provider does not know",
}


def bill_of_provider(call: dict[str, Json], anthropic: bool) -> float:
    read, write = call.get("cache_read_tokens") or 0, call.get("cache_write_tokens") or 0
    uncached = call["input_tokens_total_incl_cache"] - read - write
    write_price = PRICES.cache_write if anthropic else PRICES.prompt
    assert PRICES.cache_read is not None
    assert write_price is not None
    output = call.get("output_tokens_incl_reasoning") or 0
    return uncached * PRICES.prompt + read * PRICES.cache_read + write * write_price + output * PRICES.completion


def priced_calls(name: str) -> list[tuple[dict[str, Json], dict[str, Json]]]:
    """The calls of a recording with the provider's counts, each with the properties of its one event."""
    recording = recordings.load(name)
    events = events_of(recordings.spans_in(recording), recordings.logs_in(recording))
    found = []
    for call in recording["calls"]:
        ids = call.get("span_ids_finished_during_call") or ()
        mine = [
            event["properties"]
            for event in events
            if event["properties"].get("$ai_span_id") in ids and event["event"] in ("$ai_generation", "$ai_embedding")
        ]
        if len(mine) == 1 and not call["error"] and counts_are_in(telemetry_of(recording, call), call):
            found.append((call, mine[0]))
    return found


def counts_are_in(telemetry: str, call: dict[str, Json]) -> bool:
    """Whether the spans of a call have the provider's counts: with or without the parts that libraries leave out."""
    if "input_tokens_total_incl_cache" not in call:
        return False
    input, output = call["input_tokens_total_incl_cache"], call.get("output_tokens_incl_reasoning") or 0
    read, write = call.get("cache_read_tokens") or 0, call.get("cache_write_tokens") or 0
    wanted = [{input, input - read - write}, {output, output - call["reasoning_tokens"]}, {read}, {write}]
    return all(
        0 in counts or any(re.search(rf"(?<![\w.-]){count}(?![\w.-])", telemetry) for count in counts)
        for counts in wanted
    )


@pytest.mark.parametrize("name", recordings.NAMES)
def test_the_price_is_the_bill(name: str) -> None:
    wrong = {}
    for call, properties in priced_calls(name):
        tokens_only = {key: value for key, value in properties.items() if not key.endswith("_cost_usd")}
        price = bill_of(tokens_only, PRICES).total
        if price != pytest.approx(bill_of_provider(call, is_anthropic_style(properties)), rel=1e-9):
            wrong[(name, call["i"])] = {key: value for key, value in properties.items() if "tokens" in key}
    assert {key: counts for key, counts in wrong.items() if key not in NOT_COUNTED} == {}
    assert [key for key in NOT_COUNTED if key[0] == name and key not in wrong] == []
