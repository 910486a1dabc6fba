"""Checks of the way to PostHog: name, connection, certificate, and what answers at the other end."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from typing import get_args
from urllib.parse import urlsplit

import certifi
import requests

from otel_posthog._checks import without_credentials
from otel_posthog._options import Endpoint
from otel_posthog.delivery.protocols import CaptureProtocol, protocols
from otel_posthog.doctor._http import TIMEOUT, Answer, Client, reason_of
from otel_posthog.doctor._report import Line, Setup
from otel_posthog.settings import Settings


def check_connection(setup: Setup) -> Iterator[Line]:
    """DNS, TCP and TLS; through a proxy only the proxy can say."""
    settings = setup.settings
    if settings is None:
        return
    parts = urlsplit(settings.host)
    hostname, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    proxy = settings.proxy or requests.utils.get_environ_proxies(settings.host).get(parts.scheme)
    if proxy:
        yield Line("connection", "info", f"{hostname} is reached through the proxy {without_credentials(proxy)}.")
        return
    started = time.monotonic()
    try:
        with socket.create_connection((hostname, port), TIMEOUT) as connection:
            seconds = time.monotonic() - started
            found = f"{hostname} port {port} answers in {seconds * 1000:.0f} ms"
            if parts.scheme == "https":
                with _context(settings).wrap_socket(connection, server_hostname=hostname) as secured:
                    found += f", {secured.version()}"
    except socket.gaierror as error:
        text = f"Cannot resolve {hostname}: {reason_of(error)}."
        yield Line("connection", "fault", text, "check POSTHOG_HOST for a typo, and DNS on this machine")
    except ssl.SSLError as error:
        text = f"TLS with {hostname} failed: {getattr(error, 'verify_message', '') or error.reason or error}."
        fix = "POSTHOG_CERTIFICATE=/path/to/ca.pem, if a company proxy re-signs TLS; or check the scheme of the host"
        yield Line("connection", "fault", text, fix)
    except OSError as error:
        text = f"Cannot reach {hostname} port {port}: {reason_of(error)}."
        yield Line("connection", "fault", text, "open the firewall for it, or set HTTPS_PROXY or POSTHOG_PROXY")
    else:
        yield Line("connection", "ok", found + ".")


def _context(settings: Settings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.certificate or certifi.where())
    if settings.client_certificate:
        context.load_cert_chain(settings.client_certificate, settings.client_key)
    return context


def check_endpoints(setup: Setup) -> Iterator[Line]:
    """Which capture endpoints are served, asked with an empty batch: nothing is captured."""
    settings = setup.settings
    if settings is None:
        return
    client = Client(settings)
    own = protocols(settings.endpoint)
    served = []
    for endpoint in own:
        answer = _ask(client, settings, endpoint)
        fault = fault_of(settings.host, endpoint.path, answer)
        if fault is not None:
            yield fault
            return
        if answer.status not in (404, 405):
            served.append(endpoint)
    if not served:
        paths = " and ".join(endpoint.path for endpoint in own)
        fix = "check the path of POSTHOG_HOST, and that the proxy forwards these paths with their method"
        yield Line("endpoints", "fault", f"{settings.host} does not serve {paths}.", fix)
        return
    paths, size = " and ".join(endpoint.path for endpoint in served), _size(served[0].max_event_bytes)
    yield Line("endpoints", "ok", f"{settings.host} serves {paths}: events of up to {size}.")
    others = [endpoint for name in get_args(Endpoint) for endpoint in protocols(name) if endpoint not in own]
    for endpoint in dict.fromkeys(others):
        answer = _ask(client, settings, endpoint)
        state = "not served" if answer.status in (404, 405) or answer.error or answer.is_web_page else "served as well"
        yield Line("endpoints", "info", f"{endpoint.path}: {state}.")


def _ask(client: Client, settings: Settings, endpoint: CaptureProtocol) -> Answer:
    return client.post(settings.host + endpoint.path, {"api_key": settings.api_key, "batch": []}, settings.api_key)


def _size(count: int) -> str:
    return f"{count // 2**20} MiB" if count >= 2**20 else f"{count // 1000} KB"


def fault_of(host: str, path: str, answer: Answer) -> Line | None:
    """What is wrong with the answer of a capture endpoint, if it does not come from PostHog."""
    if answer.error:
        return Line("endpoints", "fault", f"No answer from {host}{path}: {answer.error}.", "check proxy and firewall")
    if answer.status in (502, 503, 504):
        text = f"{host} answers {answer.status} for {path}: the proxy has no PostHog behind it, or PostHog is down."
        return Line("endpoints", "fault", text, "check the upstream of the proxy, and https://status.posthog.com")
    if answer.is_web_page and answer.status not in (404, 405):
        where = f" (redirect to {answer.location})" if answer.location else ""
        text = f"{host} answers {path} with a web page{where}: that is not PostHog's capture endpoint."
        fix = "POSTHOG_HOST=https://us.i.posthog.com or https://eu.i.posthog.com, or exclude the path from the login"
        return Line("endpoints", "fault", text, fix)
    if answer.status == 401:
        detail = answer.body.strip()[:100]
        text = f"PostHog refuses the key: {detail or '401'}."
        return Line("endpoints", "fault", text, "copy the project API key from the project's settings")
    if answer.status == 200 and answer.document is None:
        text = f"{host} answers {path} with 200, but not with PostHog's JSON: something else takes the events."
        return Line("endpoints", "fault", text, "check POSTHOG_HOST and the proxy in front of PostHog")
    return None
