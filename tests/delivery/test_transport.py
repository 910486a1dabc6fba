"""How a request leaves: compression, proxies, certificates, a session of the caller's, http:// to far away."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests
import trustme

from otel_posthog import ConfigurationError
from otel_posthog.delivery import encode
from otel_posthog.local import LocalPostHog
from tests.support.captured import CONTENT, KEY, Delivery, encoded, made_event
from tests.support.scripted import Answer, Request, ScriptedServer

DeliverTo = Callable[..., Delivery]


# --- compression


def test_zstd_is_smaller_than_plain_and_arrives(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    events = [encode(made_event(number=number), version=1) for number in range(50)]
    assert deliver_to(posthog.url, endpoint="v1", compression="zstd").send(events) is True
    (request,) = posthog.requests()
    assert request.headers["content-encoding"] == "zstd"
    assert request.compressed_bytes < request.decompressed_bytes / 2
    assert posthog.events()[49]["properties"]["text"] == CONTENT


def test_zstd_without_its_package_says_what_to_install(deliver_to: DeliverTo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ConfigurationError, match=r"otel-posthog\[zstd\]"):
        deliver_to("http://127.0.0.1:9", endpoint="v1", compression="zstd")


# --- proxies


def test_a_proxy_by_setting(deliver_to: DeliverTo) -> None:
    with ScriptedServer() as proxy:
        assert deliver_to("http://posthog.example", proxy=proxy.url).send(encoded()) is True
    assert [request.path for request in proxy.requests] == ["http://posthog.example/i/v0/ai/batch/"]


def test_a_proxy_by_environment(deliver_to: DeliverTo, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        assert deliver_to("http://posthog.example").send(encoded()) is True
    assert len(proxy.requests) == 1


def test_a_proxy_that_is_down_is_a_passing_failure_without_its_password(
    deliver_to: DeliverTo, caplog: pytest.LogCaptureFixture
) -> None:
    delivery = deliver_to("http://posthog.example", proxy="http://user:hunter2@127.0.0.1:9", timeout=0.5)
    assert delivery.send(encoded()) is False
    assert delivery.stats.dropped == {"connection": 1}
    assert "hunter2" not in caplog.text


# --- certificates


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_an_authority_of_ones_own(deliver_to: DeliverTo, tls: ssl.SSLContext, certificate: str) -> None:
    with ScriptedServer(tls=tls) as server:
        assert deliver_to(server.url, certificate=certificate).send(encoded()) is True


def test_the_authority_by_setting_wins_over_that_of_the_environment(
    deliver_to: DeliverTo, tls: ssl.SSLContext, certificate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    with ScriptedServer(tls=tls) as server:
        assert deliver_to(server.url, certificate=certificate).send(encoded()) is True


def test_a_certificate_that_nobody_vouches_for_gets_no_content(deliver_to: DeliverTo, tls: ssl.SSLContext) -> None:
    with ScriptedServer(tls=tls) as server:
        delivery = deliver_to(server.url, timeout=0.5)
        assert delivery.send(encoded()) is False
        assert server.requests == []
    assert delivery.stats.dropped == {"tls": 1}


@pytest.mark.parametrize("files", ["one", "two"])
def test_a_client_certificate(
    deliver_to: DeliverTo, authority: trustme.CA, tls: ssl.SSLContext, certificate: str, tmp_path: Path, files: str
) -> None:
    tls.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(tls)
    issued = authority.issue_cert("app.example")
    both, chain, key = tmp_path / "both.pem", tmp_path / "chain.pem", tmp_path / "key.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(both))
    issued.cert_chain_pems[0].write_to_path(str(chain))
    issued.private_key_pem.write_to_path(str(key))
    given = {"client_certificate": both} if files == "one" else {"client_certificate": chain, "client_key": key}
    with ScriptedServer(tls=tls) as server:
        assert deliver_to(server.url, certificate=certificate, **given).send(encoded()) is True
        without = deliver_to(server.url, certificate=certificate, timeout=0.5)
        assert without.send(encoded()) is False
    assert len(server.requests) == 1


# --- a session of the caller's


def test_a_session_of_the_callers_is_used_and_left_open(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    class Session(requests.Session):
        closed = 0

        def close(self) -> None:
            self.closed += 1
            super().close()

    with Session() as session:
        session.headers["X-Team"] = "search"
        delivery = deliver_to(posthog.url, session=session)
        assert delivery.send(encoded()) is True
        delivery.client.close()
        assert posthog.requests()[0].headers["x-team"] == "search"
        assert session.closed == 0


def test_connections_are_kept_open_between_requests(deliver_to: DeliverTo) -> None:
    with requests.Session() as session, ScriptedServer() as server:
        delivery = deliver_to(server.url, session=session)
        for _ in range(5):
            delivery.send(encoded())
        (pool,) = session.get_adapter(server.url).poolmanager.pools._container.values()  # type: ignore[attr-defined]
        assert (pool.num_requests, pool.num_connections) == (5, 1)


# --- answers that take too long as a whole


@contextmanager
def header_that_trickles(tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server whose answers' headers come a byte at a time and never end; its URL."""
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with suppress(OSError), tls.wrap_socket(connection, server_side=True) if tls else connection as here:
            here.recv(65536)
            here.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not over.wait(0.05):
                here.sendall(b"a")

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.getsockname()[1]}"
        over.set()
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("way", ["plain", "tls", "proxy"])
def test_a_header_that_never_ends_is_left_in_time(
    deliver_to: DeliverTo, tls: ssl.SSLContext, certificate: str, way: str
) -> None:
    with header_that_trickles(tls if way == "tls" else None) as url:
        host, proxy = ("http://posthog.example", url) if way == "proxy" else (url, None)
        delivery = deliver_to(host, timeout=0.6, certificate=certificate, proxy=proxy)
        begun = time.monotonic()
        assert delivery.send(encoded()) is False
        assert time.monotonic() - begun < 2
    assert delivery.stats.dropped == {"timeout": 1}


def test_a_body_that_never_ends_is_a_timeout(deliver_to: DeliverTo) -> None:
    with ScriptedServer(lambda request, before: Answer(trickle=True)) as server:
        delivery = deliver_to(server.url, timeout=0.5)
        assert delivery.send(encoded()) is False
    assert delivery.stats.dropped == {"timeout": 1}


def test_a_connection_is_used_again_after_a_slow_answer(deliver_to: DeliverTo) -> None:
    def slow(request: Request, before: int) -> Answer:
        time.sleep(0.3)
        return Answer()

    with ScriptedServer(slow) as server:
        delivery = deliver_to(server.url, timeout=1)
        assert [delivery.send(encoded()) for _ in range(4)] == [True] * 4
        session = delivery.client._transport._session
        assert session is not None
        (pool,) = session.get_adapter(server.url).poolmanager.pools._container.values()  # type: ignore[attr-defined]
        assert (pool.num_requests, pool.num_connections) == (4, 1)


# --- http://


@pytest.mark.parametrize("host", ["http://posthog.internal", "http://10.0.0.7:8000"])
def test_unencrypted_content_to_another_machine_is_warned_of_once(
    deliver_to: DeliverTo, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    delivery = deliver_to(host, proxy="http://127.0.0.1:9", timeout=0.2)
    delivery.send(encoded())
    delivery.send(encoded())
    assert [message for message in caplog.messages if "unencrypted" in message] == [
        f"prompts and answers go to {host[7:].partition(':')[0]} unencrypted: host is http://"
    ]
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "host", ["https://posthog.example", "http://localhost:9", "http://127.0.0.1:9", "http://[::1]:9"]
)
def test_other_hosts_are_not_warned_of(deliver_to: DeliverTo, caplog: pytest.LogCaptureFixture, host: str) -> None:
    deliver_to(host)
    assert caplog.messages == []
