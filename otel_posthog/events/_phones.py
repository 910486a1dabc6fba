"""Phone numbers: international ones, and the national forms in which people write them.

A form that only phone numbers have is enough by itself. Others (a bare ``4155550134``) count after a word such as
"call" or "Telefon". Sources: ITU-T E.164 and E.123, and the national numbering plans.
"""

from __future__ import annotations

import re

_START = r"(?:(?<![A-Za-z0-9_.+-])(?<![0-9]/)|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2}))"
_END = r"(?![A-Za-z0-9_]|[.:-][0-9])"
_COUNTRY = (
    r"(?:7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|2[1-689]\d|3[578]\d|42\d|5[09]\d|6[789]\d"
    r"|8[0578]\d|9[679]\d)"
)
_SEPARATOR = r"[ .\u00a0\u2011\u2013-]"
_GROUPS = rf"(?:{_SEPARATOR}?\d){{5,12}}"

_INTERNATIONAL = (
    # +49 (0)30 1234567, 0044 20 7946 0958, tel:+49301234567, %2B49...
    rf"(?:\+ ?|00 ?|011 |%2[Bb]){_COUNTRY}[ ./\u00a0-]?(?:\(\d{{1,5}}\){_SEPARATOR}?){{0,2}}(?:\d{{1,4}}/)?\d{_GROUPS}"
    rf"|(?:\+ ?|00 ?|011 |%2[Bb])1{_SEPARATOR}?\(?[2-9]\d\d\)?{_SEPARATOR}{{0,2}}[2-9]\d\d{_SEPARATOR}?\d{{4}}"
)
_STRONG = (
    r"(?:1[ .-])?\([2-9]\d\d\)[ -]?[2-9]\d\d[ .-]\d{4}|[2-9]\d\d/[2-9]\d\d-\d{4}"  # (415) 555-0134
    r"|(?:1[.-])?[2-9]\d\d(?P<us>[.-])\d{3}(?P=us)\d{4}|1 [2-9]\d\d[ -][2-9]\d\d[ -]\d{4}|[2-9]\d\d [2-9]\d\d-\d{4}"
    r"|\(0\d{1,4}\)[ /-]?\d{2,5}(?:[ .-]?\d{2,4}){1,3}"  # (020) 7946 0958, (030) 1234567
    r"|0[1-9](?:[ .-]\d\d){4}"  # 01 23 45 67 89
    r"|0[1-9]\d{0,3}[ /-](?:[/-] ?)?\d{3,5}(?:[ -]\d{2,5}){1,3}"  # 020 7946 0958, 03-1234-5678, 0221 / 123 456
    r"|0[1-9]\d{1,4}(?: ?[/-] ?| )\d{2}(?:[ -]\d{2}){2,3}"  # 089 12 34 56 78
    r"|0[1-9]\d{1,4}(?: ?[/-] ?| )\d{5,8}(?:-\d{1,3})?"  # 030 1234567, 0171/1234567, 01632 960123
    r"|0[1-9](?: |-)\d{6,8}"  # 02 12345678, 06-12345678
    r"|07[1-9]\d{8}|0[789]0\d{8}"  # mobiles: 07700900123 (UK), 09012345678 (Japan)
    r"|[689]\d \d{3} \d{2} \d{2}|[6-9]\d{2} \d{2} \d{2} \d{2}"  # 91 123 45 67, 612 34 56 78
    r"|\([1-9]\d\) ?9?\d{4}[ -]\d{4}|[1-9]\d 9?\d{4}-\d{4}"  # (11) 91234-5678
    r"|3\d\d[.-]\d{6,7}"  # 347-1234567
    r"|1[3-9]\d(?P<cn>[ -])\d{4}(?P=cn)\d{4}"  # 138 1234 5678
    r"|[78][ -]\(?\d{3}\)?[ -]\d{3}[ -]\d{2}[ -]\d{2}"  # 8 (495) 123-45-67
    r"|0?[6-9]\d{4}-\d{5}|0 ?[6-9]\d{4} \d{5}"  # 98765-43210
)
# Between delimiters, or with a word before them.
_BARE = r"[2-9]\d\d \d{3} \d{4}"  # 415 555 0134, 347 123 4567
_OPENED = re.compile(r"(?:^|[,|(;'\"*\n] ?|\\n)$")
_CLOSED = re.compile(r"\.?$|[,|);'\"\n!?]| \||\\n")
# Only with a word before them.
_WEAK = (
    r"(?:\(\d{2,5}\)|\d{2,5})(?:[ ./-]\d{2,7}){1,4}"  # 612 345 678, 98765 43210
    r"|0\d{8,10}|[2-9]\d{9}|[679]\d{8}|[1-9]\d9\d{8}|1[2-9]\d{9}"
)
_FORMS = re.compile(rf"{_START}(?:(?P<plus>{_INTERNATIONAL})|{_STRONG}|(?P<bare>{_BARE})|(?P<weak>{_WEAK})){_END}")

_WORD = re.compile(
    r"\b(?:phone|tel|telephone|mobile|cell|cellphone|call|called|calling|dial|ring|text|texted|sms|fax|whatsapp|signal"
    r"|landline|hotline|helpline|contact|reach|msisdn|caller|callback|phone_?numbers?|mobile_?numbers?|contact_?numbers?"
    r"|telefon|telefonnummer|handy|handynummer|mobil|mobilnummer|rufnummer|ruf|rufen|anrufen|erreichbar|durchwahl"
    r"|t[ée]l[ée]phone|t[ée]l|portable|appel|appelez|appeler|joindre|joignable|appelle"
    r"|tel[ée]fono|m[óo]vil|celular|ll[áa]mame|llamar|llame|ll[áa]mar|ll[áa]menos"
    r"|cellulare|chiama|chiamami|chiamare|chiamate|recapito|telefonare|telefone|fone|ligue|ligar|zap|telefoon|bel"
    r"|phn|mob|ph|emergency|notfall|kontakt|contacto|contatto|urgence|"
    r"(?:my|your|his|her|our|their|work|home|office) number|(?:mio|tuo) numero|(?:mon|votre) num[ée]ro"
    r"|meine nummer|(?:mi|su) n[úu]mero|meu n[úu]mero)\b|電話|携帯|でんわ|फ़ोन|फोन|मोबाइल|电话|手机|전화",
    re.IGNORECASE,
)
_NOT_A_PHONE = re.compile(
    r"(?:\b(?:isbn|issn|order|invoice|ticket|case|ref|reference|sku|serial|tracking|version|build|port|part|item|model"
    r"|isin|account|acct|iban|vat|tax|ssn|zip|batch|row|epoch|timestamp|uuid|id|article|doi|lot|rev|page|pages|asin"
    r"|commit|pid|code)|_id|Id|ID)[ :#=.\"'(-]{0,4}(?:(?:no|nr|number|num|id)\b[ :#=.\"'(-]{0,4})?$",
    re.IGNORECASE,
)
_BEFORE, _AFTER = 48, 24  # characters in which a word counts
_OTHER_NUMBERS = re.compile(
    r"(?:0?[1-9]|[12]\d|3[01])[./-](?:0?[1-9]|1[0-2])[./-](?:19|20)\d\d\b|(?:19|20)\d\d[./-]\d\d[./-]\d\d\b"  # dates
    r"|\d{1,3}(?:\.\d{1,3}){3}$"  # an IPv4 address
    r"|(?:0\d[ .-]){4}0\d$"  # 01 02 03 04 05
)
_SENTENCE_END = re.compile(r"(?<=[^\W\d_]{4})[.!?]\s|[\n;]|\\n")  # not after an abbreviation: "Tel. 030"
_DIGIT_BEFORE = re.compile(r"[0-9][,;]? $")
_DIGIT_AFTER = re.compile(r",? [0-9]")


def phone(text: str) -> str:
    """Phone numbers."""
    return _FORMS.sub(_replacement, text)


def _replacement(found: re.Match[str]) -> str:
    return "[phone]" if _is_phone(found) else found[0]


def _is_phone(found: re.Match[str]) -> bool:
    written, start = found[0], found.start()
    digits = sum(character.isdigit() for character in written)
    if found["plus"]:
        return 8 <= digits <= 17
    before = found.string[max(0, start - _BEFORE) : start]
    if not 9 <= digits <= 12 or _OTHER_NUMBERS.match(written) or _NOT_A_PHONE.search(before):
        return False
    if " " in written and (_DIGIT_BEFORE.search(before) or _DIGIT_AFTER.match(found.string, found.end())):
        return False  # a row of numbers
    if found["bare"] and _OPENED.search(before) and _CLOSED.match(found.string, found.end()):
        return True
    is_sure = not found["bare"] and not found["weak"]
    after = found.string[found.end() : found.end() + _AFTER]
    return is_sure or (digits <= 11 and _WORD.search(f"{_SENTENCE_END.split(before)[-1]} {after}") is not None)
