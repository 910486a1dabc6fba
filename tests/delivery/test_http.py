"""Real HTTP and real threads: what a fake transport cannot show."""

from __future__ import annotations

import gzip
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

from otel_posthog import ConfigurationError, Settings
from otel_posthog.delivery import Delivery, Request, TransportError
from otel_posthog.delivery.http import RequestsTransport
from otel_posthog.local import LocalPostHog
from otel_posthog.local.faults import Fault
from tests.support.captured import KEY, encoded, encoded_of_size, made_event, uuids
from tests.support.ports import free_port
from tests.support.processes import run_python
from tests.support.scripted import Answer, ScriptedServer

DeliverTo = Callable[..., Delivery]

SOON = 5.0  # seconds; far above what anything may take here, far below what a hang takes
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"status":"Ok"}'


def sent(delivery: Delivery, number: int = 1, timeout: float = SOON) -> bool:
    """Put so many events and wait for them."""
    return delivery.put(encoded(number)).wait(timeout)


def request_to(url: str, timeout: float = SOON, total: float | None = None, body: bytes = b"{}") -> Request:
    return Request(f"{url}/batch/", {"Content-Type": "application/json"}, body, timeout, total, 4096)


@pytest.fixture
def transport() -> RequestsTransport:
    return RequestsTransport(Settings(api_key=KEY))


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that handles each connection by a function; its URL."""

    def handle(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            serve(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=handle, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def received(connection: socket.socket) -> bytes:
    """One request with a Content-Length; ``ConnectionError`` once the client has closed."""

    def more() -> bytes:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError
        return data

    data = b""
    while b"\r\n\r\n" not in data:
        data += more()
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(
        next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")).split(b":")[1]
    )
    while len(body) < length:
        body += more()
    return head


def answering(answer: bytes) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        while True:
            received(connection)
            connection.sendall(answer)

    return serve


# --- the ordinary way


def test_events_arrive_at_posthog(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    delivery, event = deliver_to(posthog.url), made_event(model="gpt-5-mini")
    assert delivery.put([delivery.encode(event)]).wait(SOON) is True
    (arrived,) = posthog.events()
    assert (arrived["uuid"], arrived["path"], arrived["deliveries"]) == (event.uuid, "/i/v0/ai/batch/", 1)
    assert arrived["properties"]["model"] == "gpt-5-mini"


@pytest.mark.parametrize("endpoint", ["ai", "batch", "event", "v1"])
def test_posthog_takes_what_each_endpoint_sends(posthog: LocalPostHog, deliver_to: DeliverTo, endpoint: str) -> None:
    delivery = deliver_to(posthog.url, endpoint=endpoint)
    assert delivery.put([delivery.encode(made_event(n=n)) for n in range(20)]).wait(SOON) is True
    assert len(posthog.events()) == 20


@pytest.mark.parametrize("fault", ["503", "reset", "reset-after", "truncate"])
def test_a_passing_fault_of_the_network_costs_no_event(
    posthog: LocalPostHog, deliver_to: DeliverTo, fault: str
) -> None:
    posthog.faults = [Fault.parse(f"{fault}:times=2")]
    assert sent(deliver_to(posthog.url), 3) is True
    assert len(posthog.events()) == 3


def test_zstd_arrives(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    delivery = deliver_to(posthog.url, endpoint="v1", compression="zstd")
    assert delivery.put([delivery.encode(made_event(n=n)) for n in range(50)]).wait(SOON) is True
    (request,) = posthog.requests()
    assert request.headers["content-encoding"] == "zstd"
    assert request.compressed_bytes < request.decompressed_bytes / 2


def test_zstd_without_its_package_says_what_to_install(deliver_to: DeliverTo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ConfigurationError, match=r"otel-posthog\[zstd\]"):
        deliver_to("http://127.0.0.1:9", endpoint="v1", compression="zstd")


def test_put_returns_at_once_while_the_server_hangs(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    posthog.faults = [Fault.parse("hang")]
    delivery = deliver_to(posthog.url)
    begun = time.monotonic()
    for _ in range(1000):
        delivery.put(encoded(1))
    assert time.monotonic() - begun < SOON
    assert delivery.pending == 1000
    assert delivery.shutdown(0.2) is False
    assert delivery.stats().dropped == {"shutdown": 1000}


def test_many_threads_deliver_every_event_once(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    delivery = deliver_to(posthog.url, max_batch_events=7)
    events = [encoded(20) for _ in range(20)]
    threads = [threading.Thread(target=delivery.put, args=(part,)) for part in events]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert delivery.flush(20) is True
    assert sorted(event["uuid"] for event in posthog.events()) == sorted(uuids([e for part in events for e in part]))
    assert {event["deliveries"] for event in posthog.events()} == {1}


def test_several_requests_are_under_way_at_once(deliver_to: DeliverTo) -> None:
    together = threading.Barrier(4, timeout=SOON)

    def answer(request: object, before: int) -> Answer:
        together.wait()
        return Answer()

    with ScriptedServer(answer) as server:
        assert sent(deliver_to(server.url, max_batch_events=1), 4) is True


def test_where_no_thread_can_be_started_whoever_waits_sends(
    posthog: LocalPostHog, deliver_to: DeliverTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = deliver_to(posthog.url)

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as machine:
        machine.setattr(threading.Thread, "start", start)
        delivery.put(encoded(2))
        assert delivery.flush(SOON) is True
        delivery.put(encoded(2))
        assert delivery.shutdown(SOON) is True
    assert len(posthog.events()) == 4


def test_a_thread_is_started_once_there_is_one_again(
    posthog: LocalPostHog, deliver_to: DeliverTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = deliver_to(posthog.url)

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as machine:
        machine.setattr(threading.Thread, "start", start)
        delivery.put(encoded(2))
    assert sent(delivery, 1) is True
    assert len(posthog.events()) == 3


# --- proxies, certificates, sessions


def test_a_proxy_by_setting(deliver_to: DeliverTo) -> None:
    with ScriptedServer() as proxy:
        assert sent(deliver_to("http://posthog.example", proxy=proxy.url)) is True
    assert [request.path for request in proxy.requests] == ["http://posthog.example/i/v0/ai/batch/"]


def test_a_proxy_by_environment(deliver_to: DeliverTo, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        assert sent(deliver_to("http://posthog.example")) is True
    assert len(proxy.requests) == 1


def test_a_proxy_that_is_down_is_a_passing_failure_without_its_password(
    deliver_to: DeliverTo, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    delivery = deliver_to("http://posthog.example", proxy="http://user:hunter2@127.0.0.1:9", retry_for=0)
    assert sent(delivery) is False
    assert delivery.stats().dropped == {"connection": 1}
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("endpoint", ["batch", "v1"])
def test_netrc_is_not_read(
    deliver_to: DeliverTo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, endpoint: str
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login ada password hunter2")
    monkeypatch.setenv("NETRC", str(netrc))
    with ScriptedServer() as server, requests.Session() as session:
        for options in ({}, {"session": session}):
            deliver_to(server.url, endpoint=endpoint, **options).put(encoded())
            server.received.wait(SOON)
            server.received.clear()
    expected = f"Bearer {KEY}" if endpoint == "v1" else None
    assert {request.headers.get("Authorization") for request in server.requests} == {expected}


def test_user_and_password_of_the_host_are_sent_and_not_logged(
    deliver_to: DeliverTo, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with ScriptedServer() as server:
        assert sent(deliver_to(server.url.replace("//", "//ada:hunter2@"))) is True
    assert server.requests[0].headers["Authorization"] == "Basic YWRhOmh1bnRlcjI="
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_with_content_and_key(deliver_to: DeliverTo, status: int) -> None:
    with ScriptedServer() as elsewhere:
        moved = Answer(status, headers={"Location": elsewhere.url})
        with ScriptedServer(lambda request, before: moved) as server:
            delivery = deliver_to(server.url)
            assert sent(delivery, 2) is False
    assert (len(server.requests), elsewhere.requests) == (1, [])
    assert delivery.stats().dropped == {"redirect": 2}


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
        assert sent(deliver_to(server.url, certificate=certificate)) is True


def test_the_authority_by_setting_wins_over_that_of_the_environment(
    deliver_to: DeliverTo, tls: ssl.SSLContext, certificate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    with ScriptedServer(tls=tls) as server:
        assert sent(deliver_to(server.url, certificate=certificate)) is True


def test_a_certificate_that_nobody_vouches_for_gets_no_content(deliver_to: DeliverTo, tls: ssl.SSLContext) -> None:
    with ScriptedServer(tls=tls) as server:
        delivery = deliver_to(server.url, retry_for=0)
        assert sent(delivery) is False
        assert server.requests == []
    assert delivery.stats().dropped == {"tls": 1}


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
    options = {"client_certificate": both} if files == "one" else {"client_certificate": chain, "client_key": key}
    with ScriptedServer(tls=tls) as server:
        assert sent(deliver_to(server.url, certificate=certificate, **options)) is True
        assert sent(deliver_to(server.url, certificate=certificate, retry_for=0)) is False
    assert len(server.requests) == 1


def test_a_session_of_the_callers_is_used_and_left_open(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    class Session(requests.Session):
        closed = 0

        def close(self) -> None:
            self.closed += 1
            super().close()

    with Session() as session:
        session.headers["X-Team"] = "search"
        delivery = deliver_to(posthog.url, session=session)
        assert sent(delivery) is True
        delivery.shutdown(1)
        assert posthog.requests()[0].headers["x-team"] == "search"
        assert session.closed == 0


def test_connections_are_kept_open_between_requests(transport: RequestsTransport) -> None:
    connections = []

    def serve(connection: socket.socket) -> None:
        connections.append(connection)
        answering(OK)(connection)

    with raw_server(serve) as url:
        for _ in range(5):
            assert transport.send(request_to(url)).status == 200
    assert len(connections) == 1


# --- answers that are too slow, too large or not what they should be


@pytest.mark.parametrize("host", ["http://a..b", f"http://{'a' * 64}.example", "http://.example", "http://a\x00b"])
def test_a_host_that_no_request_can_name_is_no_exception(transport: RequestsTransport, host: str) -> None:
    with pytest.raises(TransportError):
        transport.send(request_to(host, timeout=0.5))


def test_nobody_listens(transport: RequestsTransport) -> None:
    with pytest.raises(TransportError) as caught:
        transport.send(request_to(f"http://127.0.0.1:{free_port()}"))
    assert (caught.value.kind, caught.value.reason) == ("retry", "connection")


def trickling(head: bytes) -> Callable[[socket.socket], None]:
    """An answer of which a byte comes now and then, without an end."""

    def serve(connection: socket.socket) -> None:
        received(connection)
        connection.sendall(head)
        while True:
            connection.sendall(b"a")
            time.sleep(0.05)

    return serve


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"],
    ids=["header", "body", "length"],
)
def test_an_answer_that_trickles_is_left_in_time(transport: RequestsTransport, head: bytes) -> None:
    with raw_server(trickling(head)) as url:
        begun = time.monotonic()
        with pytest.raises(TransportError) as caught:
            transport.send(request_to(url, timeout=0.4))
        assert time.monotonic() - begun < 3
    assert (caught.value.kind, caught.value.reason) == ("retry", "timeout")


def test_an_answer_that_trickles_through_a_proxy_is_left_in_time() -> None:
    with raw_server(trickling(b"HTTP/1.1 200 OK\r\nX-Long: ")) as url:
        transport = RequestsTransport(Settings(api_key=KEY, proxy=url))
        with pytest.raises(TransportError, match="in time"):
            transport.send(request_to("http://posthog.example", timeout=0.4))


@pytest.mark.parametrize("code", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
def test_interim_answers_are_skipped(transport: RequestsTransport, code: bytes) -> None:
    with raw_server(answering(b"HTTP/1.1 " + code + b"\r\nLink: </a>\r\n\r\n" + OK)) as url:
        for _ in range(3):
            response = transport.send(request_to(url))
            assert (response.status, response.body) == (200, b'{"status":"Ok"}')


def test_interim_answers_without_end_are_left(transport: RequestsTransport) -> None:
    with raw_server(answering(b"HTTP/1.1 102 Processing\r\n\r\n" * 50)) as url:
        assert transport.send(request_to(url)).status == 102


def test_the_body_of_an_answer_is_bounded(transport: RequestsTransport) -> None:
    with raw_server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 9999999)) as url:
        assert len(transport.send(request_to(url)).body) == 4096


def test_a_gzip_bomb_is_bounded(transport: RequestsTransport) -> None:
    bomb = gzip.compress(bytes(100_000_000))[:4000]
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with raw_server(answering(head + bomb)) as url:
        assert len(transport.send(request_to(url)).body) == 4096


def test_an_answer_that_is_compressed_against_our_wish_is_read(transport: RequestsTransport) -> None:
    body = gzip.compress(b'{"status":"Ok"}')
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with raw_server(answering(head + body)) as url:
        assert transport.send(request_to(url)).body == b'{"status":"Ok"}'


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: nine\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nwrong",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    ],
    ids=["nothing", "garbage", "short", "length", "chunks", "gzip", "headers"],
)
def test_a_broken_answer_is_no_delivery(deliver_to: DeliverTo, answer: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        received(connection)
        connection.sendall(answer)

    with raw_server(serve) as url:
        delivery = deliver_to(url, retry_for=0)
        assert sent(delivery) is False
    assert set(delivery.stats().dropped) <= {"connection", "bad_answer"}


def test_http_1_0_is_understood(transport: RequestsTransport) -> None:
    def serve(connection: socket.socket) -> None:
        received(connection)
        connection.sendall(b'HTTP/1.0 200 OK\r\n\r\n{"status":"Ok"}')

    with raw_server(serve) as url:
        assert [transport.send(request_to(url)).body for _ in range(2)] == [b'{"status":"Ok"}'] * 2


# --- slow links


def test_a_body_that_makes_progress_does_not_time_out(transport: RequestsTransport) -> None:
    """The whole body takes longer than the time-out, but something of it is taken all the time."""
    begun = time.monotonic()

    def serve(connection: socket.socket) -> None:
        data = connection.recv(4096)
        length = int(data.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        got = len(data.partition(b"\r\n\r\n")[2])
        while got < length or time.monotonic() - begun < 1.5:
            got += len(connection.recv(1024 * 1024)) if got < length else 0
            time.sleep(0.05)
        connection.sendall(OK)

    with raw_server(serve) as url:
        assert transport.send(request_to(url, timeout=1.0, body=bytes(32 * 1024 * 1024))).status == 200


def test_a_body_that_makes_no_progress_times_out(transport: RequestsTransport) -> None:
    with raw_server(lambda connection: time.sleep(3)) as url:
        begun = time.monotonic()
        with pytest.raises(TransportError) as caught:
            transport.send(request_to(url, timeout=0.3, body=bytes(24 * 1024 * 1024)))
        assert time.monotonic() - begun < 2
    assert caught.value.reason == "timeout"


def test_a_body_is_given_up_when_the_total_is_over(transport: RequestsTransport) -> None:
    def serve(connection: socket.socket) -> None:
        while connection.recv(65536):
            time.sleep(0.01)

    with raw_server(serve) as url:
        begun = time.monotonic()
        with pytest.raises(TransportError) as caught:
            transport.send(request_to(url, timeout=5, total=0.4, body=bytes(64 * 1024 * 1024)))
        assert time.monotonic() - begun < 3
    assert caught.value.reason == "timeout"


def test_large_events_arrive(posthog: LocalPostHog, deliver_to: DeliverTo) -> None:
    assert deliver_to(posthog.url).put([encoded_of_size(2 * 1024 * 1024) for _ in range(3)]).wait(20) is True


# --- imports


@pytest.mark.parametrize(
    "settings", [{}, {"POSTHOG_COMPRESSION": "zstd", "OTEL_EXPORTER_POSTHOG_ENDPOINT": "v1"}], ids=["v0", "v1-zstd"]
)
def test_nothing_is_imported_once_threads_run(posthog: LocalPostHog, settings: dict[str, str]) -> None:
    """A child that is forked while a thread imports finds half a module for ever."""
    code = """
import sys
import otel_posthog
assert not {"requests", "urllib3"} & set(sys.modules)
handle = otel_posthog.configure()
before = set(sys.modules)
handle.tracer_provider.get_tracer("app").start_span("chat", attributes={"gen_ai.operation.name": "chat"}).end()
assert handle.flush(10_000)
assert set(sys.modules) == before, sorted(set(sys.modules) - before)
"""
    ended = run_python(code, {"POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": posthog.url, **settings})
    assert ended.returncode == 0, ended.stderr
    assert len(posthog.events()) == 1
