"""The repr of Python objects as values."""

from __future__ import annotations

import pytest

from otel_posthog.conventions._attributes import ConversionError
from otel_posthog.conventions._reprs import repr_value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("[1, -2.5, True, None, nan]", [1, -2.5, True, None, None]),
        ("Message(role=<Role.USER: 'user'>, text='Hi')", {"role": "user", "text": "Hi"}),
        ("{'f': <function run.<locals>.f at 0x7f>, 'n': <Level.ONE: 1>}", {"f": None, "n": 1}),
        ("['<b>it\\'s</b>', \"<i: 'x'>\"]", ["<b>it's</b>", "<i: 'x'>"]),
        ("Part(parts=(Text(text='a'), 2), when=datetime.max)", {"parts": [{"text": "a"}, 2], "when": None}),
    ],
)
def test_a_repr_is_read(written: str, value: object) -> None:
    assert repr_value(written) == value


@pytest.mark.parametrize(
    "written", ["", "a b", "['open", "[x for x in y]", "(" * 5000, "['" + "\\'" * 40_000, "<" * 90_000]
)
def test_what_is_no_repr_is_refused(written: str) -> None:
    with pytest.raises(ConversionError):
        repr_value(written)
