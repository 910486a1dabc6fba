"""Requests of the doctor: an answer or the reason why there is none, never an exception."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from otel_posthog._version import __version__
from otel_posthog.settings import Settings

TIMEOUT = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` is 0 and ``error`` says why, where no answer came."""

    status: int = 0
    body: str = ""
    location: str = ""
    retry_after: str = ""
    error: str = ""
    error_kind: str = ""

    @property
    def document(self) -> Any:
        """The body as JSON, ``None`` if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def is_web_page(self) -> bool:
        """HTML, or a redirect to a page: what login pages and proxies answer."""
        return self.body.lstrip()[:1] == "<" or 300 <= self.status < 400


class Client:
    """Sends requests as the exporter does: with its proxy and certificates, and without ``~/.netrc``."""

    def __init__(self, settings: Settings) -> None:
        self._session = requests.Session()
        self._session.auth = lambda request: request  # else requests looks for credentials in ~/.netrc
        self._session.headers["User-Agent"] = f"otel-posthog-doctor/{__version__}"
        self._session.headers["Connection"] = "close"
        if settings.proxy:
            self._session.proxies = {"http": settings.proxy, "https": settings.proxy}
        if settings.certificate:
            self._session.verify = settings.certificate
        if settings.client_certificate:
            key = settings.client_key
            self._session.cert = (settings.client_certificate, key) if key else settings.client_certificate

    def get(self, url: str, token: str | None = None) -> Answer:
        """GET, with a bearer token."""
        return self._send("GET", url, None, token)

    def post(self, url: str, document: Mapping[str, Any], token: str | None = None) -> Answer:
        """POST of a JSON document."""
        return self._send("POST", url, document, token)

    def _send(self, method: str, url: str, document: Mapping[str, Any] | None, token: str | None) -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = self._session.request(
                method, url, json=document, headers=headers, timeout=TIMEOUT, allow_redirects=False
            )
        except requests.RequestException as error:
            return Answer(error=reason_of(error), error_kind=type(error).__name__)
        location = answer.headers.get("Location", "")
        return Answer(answer.status_code, answer.text, location, answer.headers.get("Retry-After", ""))


def reason_of(error: BaseException) -> str:
    """The innermost reason of a failed connection: what the operating system or TLS says."""
    while (inner := _inner(error)) is not None:
        error = inner
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0]


def _inner(error: BaseException) -> BaseException | None:
    reason = getattr(error, "reason", None)
    for candidate in (reason, *error.args, error.__cause__, error.__context__):
        if isinstance(candidate, BaseException):
            return candidate
    return None


def pause(seconds: float) -> None:
    """Wait; apart from the rest so that tests need not."""
    time.sleep(seconds)
