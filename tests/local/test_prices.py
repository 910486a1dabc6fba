"""Costs by PostHog's rules: what is stated first, own prices next, then the table."""

from __future__ import annotations

from typing import Any

import pytest

from otel_posthog.local.prices import cost_of, is_exclusive

CLAUDE = {"$ai_model": "claude-sonnet-4-5", "$ai_provider": "anthropic"}
GPT = {"$ai_model": "gpt-4o", "$ai_provider": "openai"}  # 2.5, 10 and 1.25 USD for a million tokens
OWN = {"$ai_model": "mine", "$ai_input_token_price": 0.001, "$ai_output_token_price": 0.002}


def tokens(sent: int, received: int, read: int = 0, written: int = 0, **more: Any) -> dict[str, Any]:
    known = {"input": sent, "output": received, "cache_read_input": read, "cache_creation_input": written, **more}
    return {f"$ai_{name}_tokens": value for name, value in known.items() if value}


@pytest.mark.parametrize(
    ("properties", "total"),
    [
        ({**CLAUDE, **tokens(262, 0, read=2048)}, 0.0014004),  # cache tokens beside the input
        ({**CLAUDE, **tokens(2310, 0, read=2048), "$ai_cache_reporting_exclusive": False}, 0.0014004),
        ({**CLAUDE, **tokens(100, 0, written=1000)}, 0.00405),  # 100 x 3 + 1000 x 3.75
        ({**GPT, **tokens(1000, 100, read=400)}, 0.003),  # 600 x 2.5 + 400 x 1.25 + 100 x 10
        ({**GPT, **tokens(1000, 0, written=400)}, 0.0025),  # a write costs what input costs
        ({**GPT, **tokens(1000, 100), "$ai_reasoning_tokens": 90}, 0.0035),  # inside the output
        ({"$ai_model": "gemini-2.5-flash", **tokens(0, 19, reasoning=192)}, 0.0005275),  # on top of it
        ({**GPT, "$ai_model": "gpt-4o-2024-07-18", **tokens(1000, 0)}, 0.0025),  # the longest known name inside
        ({"$ai_model": "openai/gpt-4o", **tokens(1000, 0)}, 0.0025),
        ({**OWN, **tokens(10, 5, read=4)}, 0.018),  # 6 x 0.001 + 4 x 0.0005 + 5 x 0.002
        ({**OWN, **tokens(10, 5), "$ai_request_price": 0.5}, 0.52),
    ],
)
def test_a_cost_is_worked_out_as_posthog_does(properties: dict[str, Any], total: float) -> None:
    cost = cost_of("$ai_generation", properties)
    assert cost is not None
    assert cost.total == pytest.approx(total)


def test_stated_costs_win_over_prices() -> None:
    stated = {**GPT, **tokens(1000, 100), "$ai_input_cost_usd": 1.0, "$ai_output_cost_usd": 2.0}
    cost = cost_of("$ai_generation", stated)
    assert cost is not None
    assert (cost.total, cost.source) == (3.0, "stated")


def test_costs_of_nothing_are_computed() -> None:
    cost = cost_of("$ai_generation", {**GPT, **tokens(1000, 0), "$ai_input_cost_usd": 0, "$ai_output_cost_usd": 0})
    assert cost is not None
    assert (cost.total, cost.source) == (pytest.approx(0.0025), "price table")


def test_a_stated_total_is_kept_and_its_parts_are_computed() -> None:
    cost = cost_of("$ai_generation", {**GPT, **tokens(1000, 0), "$ai_total_cost_usd": 7})
    assert cost is not None
    assert (cost.total, cost.input) == (7, pytest.approx(0.0025))


@pytest.mark.parametrize(
    ("event", "properties"),
    [
        ("$ai_generation", {"$ai_model": "my-finetune:8b", "$ai_provider": "ollama", **tokens(10, 10)}),
        ("$ai_generation", GPT),
        ("$ai_generation", tokens(10, 10)),
        ("$ai_span", {**GPT, **tokens(10, 10)}),
    ],
    ids=["unknown model", "no tokens", "no model", "not a call"],
)
def test_without_a_known_price_there_is_no_cost(event: str, properties: dict[str, Any]) -> None:
    assert cost_of(event, properties) is None


def test_the_vercel_gateway_counts_cache_tokens_either_way() -> None:
    gateway = {"$ai_model": "claude-sonnet-4-5", "$ai_provider": "gateway", "$ai_framework": "vercel"}
    assert is_exclusive({**gateway, **tokens(10, 1, read=20)})
    assert not is_exclusive({**gateway, **tokens(30, 1, read=20)})
