"""The ready-made redactions: e-mail addresses, phone numbers, payment cards, and keys and tokens.

Each is a function from text to text whose time is linear in the length of the text: a pattern has bounded length, or
starts only where the run of characters that it reads starts. Recall and precision are in ``docs/privacy.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from otel_posthog.events._keys import key
from otel_posthog.events._phones import phone

# Where a number may start: at the edge of a word, after an escape as in JSON (\n), after one as in URLs (%20).
_EDGE = r"(?:(?<![A-Za-z0-9_])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2}))"

# --- e-mail addresses (RFC 5321, 4.5.3.1: 64 characters, an at sign, a domain)

_LONGEST_LOCAL = 64
_DOMAIN = re.compile(
    r"(?:@|%40)((?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:xn--[a-z0-9-]{2,59}|[A-Za-z]{2,24}|[^\x00-\x7f]{2,24}))"
    r"(?![A-Za-z0-9@])"
)
# Not in scripts that are written without blanks, where the words before an address would be taken for a part of it.
_LOCAL_REVERSED = re.compile(
    r"[A-Za-z0-9_+%\u00aa-\u1fff-][A-Za-z0-9_.+%\u00aa-\u1fff-]*(?:['’][A-Za-z0-9_.+%\u00aa-\u1fff-]+)*"
)
_ESCAPED = re.compile(r"%(?!2[Bb])[0-9A-Fa-f]{2}")  # but a plus
# What follows an at sign in names of files and in code: "icon@2x.png".
_NO_DOMAINS = frozenset(
    ("bmp", "css", "csv", "dll", "exe", "gif", "gz", "html", "ico", "jar", "jpeg", "jpg", "js", "json", "jsx", "lock",
     "log", "mp3", "mp4", "pdf", "png", "sql", "svg", "tar", "tgz", "toml", "tsx", "txt", "webp", "whl", "xml", "yaml",
     "yml", "service", "shape", "dtype")
)  # fmt: skip
_SCALE = re.compile(r"[0-9.]+x\b")  # of an image: "2x"


def email(text: str) -> str:
    """Addresses, percent-encoded ones too."""
    pieces, end = [], 0
    for found in _DOMAIN.finditer(text):
        at = found.start()
        local = _LOCAL_REVERSED.match(text[max(end, at - _LONGEST_LOCAL) : at][::-1])
        domain = _without_extension(found[1])
        if local is None or not domain or _is_remote(text, local[0], found.end()):
            continue
        start = at - local.end()
        if text[start - 1 : start] == "\\":  # the letter of an escape, as in "\nada@example.com"
            start += 1
        for escaped in _ESCAPED.finditer(text, start, at):  # "?to%3Dada%40example.com"
            start = escaped.end()
        if start < at:
            pieces += [text[end:start], "[email]"]
            end = found.start(1) + len(domain)
    return "".join((*pieces, text[end:])) if pieces else text


def _without_extension(domain: str) -> str:
    """The domain without the extension of a file that is named after an address; empty if there is no domain left."""
    rest, _, last = domain.rpartition(".")
    if last.lower() not in _NO_DOMAINS:
        return domain
    return rest if re.search(r"\.[A-Za-z]{2,}$", rest) and not _SCALE.match(rest) else ""


def _is_remote(text: str, local_reversed: str, end: int) -> bool:
    """Whether it is a remote of git over SSH: ``git@github.com:org/repo``."""
    return local_reversed == "tig" and text[end : end + 1] in (":", "/")


# --- payment cards (ISO/IEC 7812)

_BETWEEN = r"[ .\u00a0\u2011-]"
_CARD = re.compile(
    rf"{_EDGE}(?<![0-9]\.)(?:"
    rf"[0-9]{{4}}(?P<of_four>{_BETWEEN})[0-9]{{4}}(?P=of_four)[0-9]{{4}}(?P=of_four)[0-9]{{4}}(?P<rest>(?P=of_four)[0-9]{{3}})?"
    rf"|[0-9]{{4}}(?P<of_six>{_BETWEEN})[0-9]{{6}}(?P=of_six)[0-9]{{4,5}}|[0-9]{{6}}{_BETWEEN}(?:[0-9]{{10}}|[0-9]{{13}})"
    r"|[0-9]{13,19})(?![0-9A-Za-z_]|\.[0-9])"
)
# Issuers' prefixes and the lengths of their numbers, by the ranges that the networks publish. Lengths that only ids
# have in practice (17, 18) are left out.
_ISSUERS = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15})"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-59]|[68][0-9]|9[0-9])[0-9]{11}"  # Diners Club
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}"  # JCB
    r"|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}"  # Discover
    r"|(?:62|81)(?:[0-9]{14}|[0-9]{17})"  # UnionPay
    r"|220[0-4][0-9]{12}"  # Mir
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])(?:[0-9]{12}|[0-9]{15})"  # Maestro
    r"|(?:508[5-9]|60[6-9][0-9]|6069|8[12][0-9]{2})[0-9]{12}"  # RuPay, Hipercard
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}[ -]?(?:[A-Z0-9]{4}[ -]?){0,4}$")
_LONGEST_IBAN_START = 32


def card(text: str) -> str:
    """Numbers of payment cards: an issuer's prefix and length, and the check digit."""
    pieces, end, found = [], 0, _CARD.search(text)
    while found is not None:
        length = _card_length(found)
        if length and not _IBAN.search(text, max(0, found.start() - _LONGEST_IBAN_START), found.start()):
            pieces += [text[end : found.start()], "[card]"]
            end = found.start() + length
            found = _CARD.search(text, end)
        else:  # another group may be the first of a number
            found = _CARD.search(text, found.start() + 1)
    return "".join((*pieces, text[end:])) if pieces else text


def _card_length(found: re.Match[str]) -> int:
    """How many characters of the match are a card's number, 0 if none are: the last group may be the CVC."""
    if _is_card(found[0]):
        return len(found[0])
    shorter = found[0][: -len(found["rest"])] if found["rest"] else ""
    return len(shorter) if _is_card(shorter) else 0


def _is_card(text: str) -> bool:
    digits = re.sub(r"[^0-9]", "", text)
    if _ISSUERS.fullmatch(digits) is None or len(set(digits[1:])) == 1 == len(set(digits)):
        return False
    return _passes(digits, 2) and not (len(digits) == 13 and _passes(digits, 3))  # the latter is a bar code (GTIN-13)


def _passes(digits: str, weight: int) -> bool:
    """Every second digit, from the right, counts ``weight`` times: 2 of cards (Luhn, annex B), 3 of bar codes."""
    weighted = (weight * int(digit) for digit in digits[-2::-2])
    counted = (value // 10 + value % 10 if weight == 2 else value for value in weighted)
    return (sum(map(int, digits[::-1][::2])) + sum(counted)) % 10 == 0


READY_MADE: dict[str, Callable[[str], str]] = {"email": email, "phone": phone, "card": card, "key": key}
