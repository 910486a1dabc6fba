"""Numbers and times as people read them, on the page and in the terminal."""

from __future__ import annotations

from datetime import datetime, timezone

# What a terminal obeys instead of printing it, and what turns the direction of the text around it.
_CONTROLS = (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_UNPRINTABLE = dict.fromkeys(_CONTROLS)
_LARGE = 1e15  # from here on numbers are written with an exponent


def money(usd: float | None) -> str:
    """USD with as many digits as matter; nothing for ``None``."""
    if usd is None:
        return ""
    if abs(usd) >= _LARGE:
        return f"${usd:.3g}"
    if abs(usd) >= 1:
        return f"${usd:,.2f}"
    digits = 6 if abs(usd) >= 0.0001 else 8
    return "$" + (f"{usd:.{digits}f}".rstrip("0").rstrip(".") or "0")


def price(usd: float) -> str:
    """USD to four digits, for columns of costs."""
    if 0 < usd < 0.0001:
        return "<$0.0001"
    return money(usd) if usd >= 1 else f"${usd:.4f}"


def seconds(value: float | None) -> str:
    if value is None:
        return ""
    if abs(value) >= _LARGE:
        return f"{value:.3g} s"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 60 else f"{int(value // 60)} min {value % 60:.0f} s"


def count(value: float | None) -> str:
    """A number of tokens, ``?`` where it is not known."""
    if value is None:
        return "?"
    return f"{value:,.0f}" if abs(value) < _LARGE else f"{value:.3g}"


def size(characters: int) -> str:
    for unit in ("characters", "thousand characters"):
        if characters < 1000:
            return f"{characters} {unit}"
        characters //= 1000
    return f"{characters} million characters"


def moment(time: float) -> str:
    """A time in seconds since 1970, in UTC; nothing for 0 and outside the years 1 to 9999."""
    try:
        return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%d %H:%M:%S") if time else ""
    except (ValueError, OverflowError, OSError):
        return ""


def clock(time: float) -> str:
    return moment(time)[11:]


def kind(event: str) -> str:
    """The name of an event without its prefix: ``generation``."""
    return event.removeprefix("$ai_")


def project_label(key: str) -> str:
    """A project key, shortened."""
    return key if len(key) <= 16 else f"{key[:8]}…{key[-4:]}"


def printable(text: str) -> str:
    """Text of an event without what would command a terminal."""
    return text.translate(_UNPRINTABLE)
