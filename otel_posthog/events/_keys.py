"""Keys, tokens and private keys, by the prefixes that their makers give them and by the names they are assigned to.

The prefixes are those that GitHub's secret scanning and Gitleaks publish, and their makers' documentation.
https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns
"""

from __future__ import annotations

import re

# Where a key may be: a run of the characters of keys. What is in it is decided from its start only.
_RUN = re.compile(r"[A-Za-z0-9_.-]{16,}")
_EXACT = re.compile(
    r"(?:A(?:KIA|SIA|ROA|IDA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS
    r"|AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}"  # Google
    r"|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|xox[abeoprs]-(?=[0-9])[\w-]{10,}"  # GitHub, Slack
    r"|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{20,}"  # Stripe
    r"|npm_[A-Za-z0-9]{36}|pypi-AgE[\w-]{20,}|dckr_(?:pat|oat)_[\w-]{20,}|rubygems_[0-9a-f]{40,}"  # packages
    r"|SG\.[\w-]{16,}\.[\w-]{16,}|SK[0-9a-f]{32}(?![A-Za-z0-9])|key-[0-9a-f]{32}"  # SendGrid, Twilio, Mailgun
    r"|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){1,3}"  # JWT (RFC 7519)
    r"|dop_v1_[0-9a-f]{40,}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|sq0(?:atp|csp)-[\w-]{20,}|EAA[A-Za-z0-9]{60,}"
    r"|hv[sbr]\.[\w-]{20,}|ATATT3[\w-]{20,}|lin_api_[A-Za-z0-9]{30,}|(?:ntn|secret)_[A-Za-z0-9]{40,}|figd_[\w-]{30,}"
    r"|PMAK-[0-9a-f]{20,}-[0-9a-f]{30,}|dp\.(?:pt|st|ct)\.[A-Za-z0-9_.]{30,}|dapi[0-9a-f]{32}|pscale_\w{2,5}_[\w-]{30,}"
    r"|sntry[su]_[\w-]{30,}|sbp_[0-9a-f]{40}|rnd_[A-Za-z0-9]{28,}|ATCTT3[\w-]{20,}|AGE-SECRET-KEY-1[A-Z0-9]{50,})"
)
# Prefixes that are also words: what follows must look random.
_RANDOM = re.compile(
    r"(?:gl(?:pat|dt|rt|ptt|cbt|ft|soat)-|xapp-"  # GitLab, Slack
    r"|(?:sk|pk|rk|csk|pa|jina|fw|tgp_v1|esecret|pcsk|sb_secret|sb_publishable)[-_]|gsk_|hf_|api_org_|xai-|pplx-|tvly-"
    r"|nvapi-|r8_|lsv2_(?:pt|sk)_|ls__|ph[cesx]_|phx_|rpa_|glc_|glsa_|wandb_v1_|fal_|el_|dsk-|mem0-|m0-|llx-|bb_live_"
    r"|e2b_|fc-|co_|ak-|ant-|AstraCS:|nk-|sess-|up_|together_|cohere_|mistral_|vck_|v1\.0-)([\w-]{16,})"
)
_BODY_PREFIX = re.compile(r"(?:proj|svcacct|admin|ant|api03|admin01|or|v1|lf|None|live|test|dev|prod)[-_]")
_PLACEHOLDER = re.compile(
    r"[xX*.…_-]*$|(?:your|my|some|insert|replace|enter|example|dummy|fake|test|xxx+)[-_]", re.IGNORECASE
)

_CHANGE = re.compile(r"[0-9](?=[A-Za-z])|[A-Za-z](?=[0-9])")

_HEADER = re.compile(r"authorization[\"']?\s{0,2}[:=,]\s{0,2}[\"']?$", re.IGNORECASE)
# An Authorization header, an assignment of something called a key or a secret, a private key, a bot's token.
_NAMED = re.compile(
    r"(?:(?i:\b(?:bearer|basic)(?:[ ]|%20|\+){1,3})(?P<bearer>[A-Za-z0-9_.~+/=-]{16,})"
    r"|(?i:hooks\.slack\.com/services/)(?P<hook>[A-Z0-9]{6,}/[A-Z0-9]{6,}/\w{16,})"
    r"|(?i:api[_-]?key|apikey|api[ ]key|secret[_-]?(?:access[_-]?)?key|access[_-]?key|account[_-]?key|client[_-]?secret"
    r"|app[_-]?secret|secret|access[_-]?token|auth[_-]?token|refresh[_-]?token|private[_-]?token|signing[_-]?key"
    r"|encryption[_-]?key|subscription-key|api[_-]?token|sharedaccesskey|password|passwd|(?<![A-Za-z_])token)"
    r"(?:\\?[\"'])?(?:[ ]{0,3}(?:[:=]|=>|%3[Dd])|[ ]is)[ ]{0,3}(?:\\?[\"'`])?(?P<assigned>[A-Za-z0-9_.+/=~-]{16,})"
    r"|(?:(?<![0-9A-Za-z])|(?<=bot))[0-9]{8,10}:(?P<bot>AA[\w-]{33})(?![\w-]))"
)
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?:[^-]|-(?!----))*-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\s\\]*)"
)


def key(text: str) -> str:
    """Keys and tokens; of an assignment or a header the value alone."""
    if "-----BEGIN" in text:
        text = _PEM.sub("[key]", text)
    return _RUN.sub(_of_run, _NAMED.sub(_of_named, text))


def _of_run(found: re.Match[str]) -> str:
    run, text, start = found[0], found.string, found.start()
    skipped = 1 if text[start - 1 : start] == "\\" and run[0] in "nrt" else 2 if text[start - 1 : start] == "%" else 0
    exact = _EXACT.match(run, skipped)
    if exact is not None:
        return run[:skipped] + "[key]" + run[exact.end() :]
    soft = _RANDOM.match(run, skipped)
    if soft is not None and _looks_random(soft[1]):
        return run[:skipped] + "[key]" + run[soft.end() :]
    return run


def _of_named(found: re.Match[str]) -> str:
    name = found.lastgroup or "bearer"
    value, at = found[name], found.start(name) - found.start()
    is_header = name == "bearer" and _HEADER.search(found.string, max(0, found.start() - 24), found.start()) is not None
    is_certain = name in ("bot", "hook") or (is_header and not _PLACEHOLDER.match(value))
    return f"{found[0][:at]}[key]{found[0][at + len(value) :]}" if is_certain or _looks_random(value) else found[0]


def _looks_random(body: str) -> bool:
    """Whether a text is no words: digits amid its letters, or longer without a break than any word."""
    longest_word = 19
    while (prefix := _BODY_PREFIX.match(body)) is not None:
        body = body[prefix.end() :]
        longest_word = 15
    if _PLACEHOLDER.match(body):
        return False
    parts = re.split(r"[^A-Za-z0-9]+", body)
    changes = sum(len(_CHANGE.findall(part)) for part in parts)
    longest = max(parts, key=len)
    is_mixed = len(longest) >= 16 and re.search(r"[0-9][A-Za-z]", longest) is not None
    is_base64 = len(body) >= 32 and re.search(r"[-_.]", body) is None and changes >= 1
    return changes >= 4 or is_mixed or is_base64 or (len(longest) > longest_word and longest == body)
