"""The ready-made redactions: what they find, what they leave, and that no text makes them slow."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from docs.redaction import labelled, score
from otel_posthog.events import Event
from otel_posthog.events.privacy import Privacy
from otel_posthog.events.redaction import READY_MADE

LEAST_RECALL, LEAST_PRECISION = 0.98, 0.99


@pytest.mark.parametrize("name", READY_MADE)
def test_recall_on_the_labelled_texts(name: str) -> None:
    found = score(name)
    assert found.recall >= LEAST_RECALL, found.mistakes


@pytest.mark.parametrize("name", READY_MADE)
def test_precision_on_the_labelled_texts(name: str) -> None:
    found = score(name)
    assert found.precision >= LEAST_PRECISION, found.mistakes


@pytest.mark.parametrize("name", READY_MADE)
def test_the_labelled_texts_are_enough_to_measure(name: str) -> None:
    data = labelled(name)
    assert len({row["text"] for row in data["positives"]}) >= 100
    assert len(set(data["negatives"])) >= 300


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("card", "pay 4111 1111 1111 1111 12/28 123", "pay [card] 12/28 123"),
        ("card", "2028 4111 1111 1111 1111 123", "2028 [card] 123"),
        ("card", "卡号4111111111111111", "卡号[card]"),
        ("card", "EAN 4006381333931", "EAN 4006381333931"),
        ("card", "IBAN DE44 5001 0517 5407 3249 31", "IBAN DE44 5001 0517 5407 3249 31"),
        ("email", "mail=ada%40example.com&x=1", "mail=[email]&x=1"),
        ("email", r"to:\nada@example.com\n", r"to:\n[email]\n"),
        ("email", "icon@2x.png git@github.com:acme/x.git", "icon@2x.png git@github.com:acme/x.git"),
        ("email", "open ada@example.com.pdf", "open [email].pdf"),
        ("phone", "at 4155550134 rows", "at 4155550134 rows"),
        ("phone", "call 4155550134", "call [phone]"),
        ("phone", "Appelez le 06 12 34 56 78", "Appelez le [phone]"),
        ("phone", "contact 192.168.100.20", "contact 192.168.100.20"),
        ("key", "pip install sk-learn-pipeline-with-transformers", "pip install sk-learn-pipeline-with-transformers"),
        ("key", '{"Authorization": "Bearer abcdefghijklmnop"}', '{"Authorization": "Bearer [key]"}'),
        ("key", "Authorization: Bearer YOUR_API_KEY_GOES_HERE", "Authorization: Bearer YOUR_API_KEY_GOES_HERE"),
    ],
)
def test_forms(name: str, before: str, after: str) -> None:
    assert READY_MADE[name](before) == after


# --- growth

SMALL, LARGE = 2**16, 2**18  # characters
# The larger text is 4 times as long: so is linear time, quadratic time is 16 times as long.
MOST_GROWTH = 9
TRIES = 4

HOSTILE = (
    "a", "1", "A1", "a.", "a@", "@", "@a.", "a@a.", "ada@example.", "ada%40", "%", "é", "1 ", "1-", "4111", "4111 ",
    "4111-1111-1111-1111-", "(415) ", "+49 ", "+", "00 ", "0171/", "call 1", "eyJaaaaaaaa-", "eyJaaaaaaaa.",
    "eyJaaaaaaaa eyJaaaaaaaa.", "sk-", "sk-a-", "sk-1a ", "sk_live_", "secret", "secret=", "secret = ", "api_key: 'a",
    "bearer ", "authorization: bearer ", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "-", "-----", "\\n", "\\nsk-",
    "12345678:AA", "xoxb-1-", "data:", "data:a/a;base64,", "data:a/a;base64", "data:a/a,<", "data:,", "a\n", "%41",
    "A" * 76 + "\n",
    ("A" * 76 + "\n") * 8 + "!\n", "A" * 76 + "\\n", "A" * 1000 + " ", "A" * 60 + "\n" + " " * 2000,
)  # fmt: skip


def cpu_time(function: Callable[[str], object], text: str) -> float:
    started = time.process_time()
    function(text)
    return time.process_time() - started


def growth(function: Callable[[str], object], unit: str) -> float:
    """How much longer a text of LARGE characters takes than one of SMALL, at the best of some tries."""
    small, large = ((unit * (size // len(unit) + 1))[:size] for size in (SMALL, LARGE))
    best = float("inf")
    for _ in range(TRIES):
        best = min(best, cpu_time(function, large) / max(cpu_time(function, small), 0.001))
        if best < MOST_GROWTH:
            break
    return best


def without_media(text: str) -> None:
    value = {"type": "odd", "data": text + " " * len(text) + "!", "of": [text]}
    Privacy([], 0).clean(Event("$ai_span", "uuid", "ada", "now", {"$ai_output_state": value}))


FUNCTIONS: dict[str, Callable[[str], object]] = {**READY_MADE, "media": without_media}


@pytest.mark.parametrize("unit", HOSTILE, ids=lambda unit: ascii(unit[:30]))
def test_time_grows_with_the_length_alone(unit: str) -> None:
    assert {name: found for name in FUNCTIONS if (found := growth(FUNCTIONS[name], unit)) >= MOST_GROWTH} == {}


def test_the_measure_of_growth_tells_quadratic_time() -> None:
    def quadratic(text: str) -> None:
        for start in range(0, len(text), 16):
            text.count("b", start)

    assert growth(quadratic, "a") >= MOST_GROWTH
