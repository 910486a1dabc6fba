"""The scripted conversations of the fake LLM: what is asked, what is answered, and what it costs.

They are the conversations of the recordings (their ``calls``), so that live tests and recordings
can be held against the same truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONCISE = "You are a concise assistant. Answer in one short sentence."
WITH_TOOLS = "Use tools when they help."


@dataclass(frozen=True)
class Usage:
    """Tokens of one call: ``input`` has the cache inside, ``output`` has the reasoning inside."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output

    @property
    def fresh(self) -> int:
        """The input that was neither read from the cache nor written to it."""
        return self.input - self.cache_read - self.cache_write


@dataclass(frozen=True)
class ToolCall:
    """One call that the model asks for."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Scenario:
    """One scripted call.

    ``finish`` is neutral (stop, tool_calls, length, content_filter); each API has its own word.
    ``status`` is the HTTP error served instead of an answer. ``inputs`` are texts to embed.
    """

    name: str
    user: str
    usage: Usage = Usage(0, 0)
    answer: str = ""
    system: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    other_answers: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_results: tuple[str, ...] = ()
    finish: str = "stop"
    thinking: str | None = None
    refusal: str | None = None
    has_image: bool = False
    inputs: tuple[str, ...] = ()
    status: int | None = None

    @property
    def answers(self) -> tuple[str, ...]:
        return (self.answer, *self.other_answers)

    def choices(self, n: int) -> list[str]:
        """As many answers as were asked for; the last repeats when the script has fewer."""
        return [self.answers[min(i, len(self.answers) - 1)] for i in range(n)]


def _log_lines(count: int) -> str:
    lines = ["Summarise the following log in one line."]
    for i in range(count):
        head = f"2025-03-{1 + i % 9:02}T12:{i % 60:02}:00Z worker-{i % 7} INFO"
        lines.append(f"{head} request {i} took {37 * i % 900} ms")
    return "\n".join(lines)


LISBON = ToolCall("get_weather", {"city": "Lisbon", "unit": "celsius"})
OSLO = ToolCall("get_weather", {"city": "Oslo", "unit": "celsius"})
_TWO_CITIES = "What is the weather in Lisbon and in Oslo?"
_ONE_TO_TWENTY = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "plain",
        "What is the capital of France?",
        Usage(31, 8),
        "The capital of France is Paris.",
        system=CONCISE,
    ),
    Scenario(
        "stream",
        "Write a haiku about telemetry.",
        Usage(14, 22),
        "Spans drift through the night,\ncounters hum beneath the code,\ntraces find their home.",
    ),
    Scenario(
        "tool_ask",
        _TWO_CITIES,
        Usage(88, 47),
        system=WITH_TOOLS,
        tool_calls=(LISBON, OSLO),
        finish="tool_calls",
    ),
    Scenario(
        "tool_result",
        _TWO_CITIES,
        Usage(163, 19),
        "Lisbon is 24 C and sunny; Oslo is 11 C with rain.",
        system=WITH_TOOLS,
        tool_results=("24 C and sunny", "11 C and rain"),
    ),
    Scenario(
        "cached",
        "Which of those is the oldest?",
        Usage(2310, 13, cache_read=2048),
        "The Maria Pia bridge, opened in 1877.",
        system=CONCISE,
        history=(
            ("user", "Name three bridges in Porto."),
            ("assistant", "Dom Luis I, Maria Pia and Arrabida."),
        ),
    ),
    Scenario(
        "cache_write",
        "Remember this handbook: be kind, be brief.",
        Usage(1890, 9, cache_write=1536),
        "Noted: be kind, be brief.",
        system=CONCISE,
    ),
    Scenario(
        "reasoning",
        "How many r's are in strawberry?",
        Usage(18, 211, reasoning=192),
        "There are three r's in strawberry.",
        thinking="Spell it: s-t-r-a-w-b-e-r-r-y. The r's are at 3, 8 and 9, so three.",
    ),
    Scenario(
        "nested",
        "Which is the second largest city of Portugal?",
        Usage(33, 7),
        "Porto is the second largest.",
        system=CONCISE,
    ),
    Scenario(
        "stream_nousage",
        "Write a limerick about logs.",
        Usage(15, 17),
        "A logger once wrote all it knew, until disk filled up and it blew.",
    ),
    Scenario(
        "stream_tool",
        "What is the weather in Porto right now?",
        Usage(71, 16),
        tool_calls=(ToolCall("get_weather", {"city": "Porto"}),),
        finish="tool_calls",
    ),
    Scenario("stream_break", "Count from one to twenty, in words.", Usage(17, 41), _ONE_TO_TWENTY),
    Scenario(
        "image",
        "What colour is this pixel?",
        Usage(274, 8),
        "It is a single red pixel.",
        has_image=True,
    ),
    Scenario(
        "n2",
        "Suggest a name for a ginger cat.",
        Usage(16, 7),
        "Marmalade",
        other_answers=("Clementine",),
    ),
    Scenario(
        "json",
        "Extract the person: Ada Lovelace, born 1815.",
        Usage(61, 14),
        '{"name":"Ada Lovelace","birth_year":1815}',
    ),
    Scenario(
        "length",
        "Recite the opening of Moby-Dick.",
        Usage(17, 16),
        "Call me Ishmael. Some years ago, never mind how long precisely, having",
        finish="length",
    ),
    Scenario(
        "filter",
        "FILTER-ME please say something disallowed.",
        Usage(18, 0),
        finish="content_filter",
    ),
    Scenario(
        "refusal",
        "REFUSE-ME please help with something harmful.",
        Usage(19, 11),
        refusal="I'm sorry, I can't help with that.",
    ),
    Scenario("unicode", "Übersetze «Guten Tag» ins Japanische 🙂", Usage(21, 6), "こんにちは 🙂"),
    Scenario("long", _log_lines(420), Usage(14210, 9), "Seven workers served 420 requests."),
    Scenario("async", "What is the largest lake in Finland?", Usage(15, 5), "Lake Saimaa."),
    Scenario("embed", "", Usage(6, 0), inputs=("alpha particle", "beta decay")),
    Scenario("err400", "BAD-REQUEST-ME", status=400),
    Scenario("err401", "UNAUTHORISED-ME", status=401),
    Scenario("err429", "RATE-LIMIT-ME", status=429),
    Scenario("err500", "SERVER-ERROR-ME", status=500),
    Scenario("err529", "OVERLOADED-ME", status=529),
)
BY_NAME: Mapping[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}


def scenario_for(user: str, has_tool_results: bool = False, prompt: str = "") -> Scenario:
    """The scenario that a request belongs to; an echo for a text that is in no script.

    A prompt inside a longer text counts too, because frameworks wrap what the user said.
    ``prompt`` is the whole text of the request, by which an echo counts its input tokens.
    """
    user = user.strip()
    chats = [scenario for scenario in SCENARIOS if scenario.user]
    found = [scenario for scenario in chats if scenario.user == user]
    found = found or [scenario for scenario in chats if scenario.user in user]
    for scenario in found:
        if bool(scenario.tool_results) == has_tool_results:
            return scenario
    for scenario in found:
        # Tools that were answered must not be asked for again: the agent would never end.
        if has_tool_results and not scenario.tool_calls:
            return scenario
    return _echo(user, prompt or user)


def embedding_for(inputs: tuple[str, ...]) -> Scenario:
    """The scenario of texts to embed; made up for texts that are in no script."""
    for scenario in SCENARIOS:
        if inputs and scenario.inputs == inputs:
            return scenario
    return Scenario("embed", "", Usage(sum(map(count_tokens, inputs)), 0), inputs=inputs)


def _echo(user: str, prompt: str) -> Scenario:
    answer = f"You said: {user}"
    return Scenario("echo", user, Usage(count_tokens(prompt), count_tokens(answer)), answer)


def count_tokens(text: str) -> int:
    """A token for every four characters that were begun."""
    return -(-len(text) // 4)
