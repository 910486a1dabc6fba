"""The OTLP/gRPC receiver, and several of them behind a balancer such as the Collector's ``load_balancing`` exporter."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan

from otel_posthog.bridge._project import Window
from otel_posthog.local import LocalPostHog
from tests.support.bridges import BridgeInThread, BridgeProcess, free_port
from tests.support.made import made_span
from tests.support.otlp import traces_request
from tests.support.spans import CHAT

if TYPE_CHECKING:
    import grpc

pytestmark = pytest.mark.usefixtures("grpc_library")

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
METADATA = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
CHILD_ID, AGENT_ID = "1" * 16, "a" * 16


class Client:
    """Sends bytes, so that they may be anything."""

    def __init__(self, address: str) -> None:
        import grpc

        self._channel = grpc.insecure_channel(address)

    def export(self, body: bytes, method: str = EXPORT, **options: Any) -> bytes:
        answer: bytes = self.begin(body, method, **options).result()
        return answer

    def begin(self, body: bytes, method: str = EXPORT, **options: Any) -> grpc.Future:
        return self._channel.unary_unary(method).future(body, timeout=15, **options)

    def close(self) -> None:
        self._channel.close()


MakeClient = Callable[..., Client]


@pytest.fixture
def client() -> Iterator[MakeClient]:
    """Makes a client of a bridge in a thread."""
    with ExitStack() as stack:

        def make(host: str, **options: Any) -> Client:
            bridge = stack.enter_context(BridgeInThread(host, grpc=True, **options))
            made = Client(bridge.grpc_address or "")
            stack.callback(made.close)
            return made

        yield make


def chat_request(**span: Any) -> bytes:
    body: bytes = traces_request([made_span(attributes=CHAT, **span)]).SerializeToString()
    return body


def refused(client: Client, body: bytes, **options: Any) -> grpc.RpcError:
    import grpc

    with pytest.raises(grpc.RpcError) as caught:
        client.export(body, **options)
    return caught.value


def test_spans_become_events(client: MakeClient, posthog: LocalPostHog) -> None:
    assert client(posthog.url).export(chat_request()) == b""
    assert len(posthog.events()) == 1


def test_metrics_are_accepted_and_discarded(client: MakeClient, posthog: LocalPostHog) -> None:
    assert client(posthog.url).export(b"", METADATA) == b""


def test_an_invalid_span_is_a_partial_success(client: MakeClient, posthog: LocalPostHog) -> None:
    request = traces_request([made_span(attributes=CHAT), made_span(attributes=CHAT, span_id=CHILD_ID)])
    request.resource_spans[0].scope_spans[0].spans[1].trace_id = b""
    answer = ExportTraceServiceResponse.FromString(client(posthog.url).export(request.SerializeToString()))
    assert answer.partial_success.rejected_spans == 1
    assert len(posthog.events()) == 1


def test_what_is_no_protobuf_is_an_invalid_argument(client: MakeClient, posthog: LocalPostHog) -> None:
    error = refused(client(posthog.url), b"<html>")
    assert (error.code().name, error.details()) == ("INVALID_ARGUMENT", "not protobuf")


def test_a_key_that_is_not_allowed_is_unauthenticated(client: MakeClient, posthog: LocalPostHog) -> None:
    error = refused(client(posthog.url), chat_request(), metadata=[("authorization", "Bearer phc_stranger")])
    assert error.code().name == "UNAUTHENTICATED"


def test_a_bearer_key_chooses_the_project(client: MakeClient, posthog: LocalPostHog) -> None:
    with LocalPostHog(api_keys=["phc_other"]) as other:
        sender = client(posthog.url, keys={"phc_other": other.url})
        sender.export(chat_request(), metadata=[("authorization", "Bearer phc_other")])
        assert (len(other.events()), len(posthog.events())) == (1, 0)


def test_an_outage_is_unavailable_with_a_short_delay(client: MakeClient) -> None:
    with LocalPostHog(faults=["503"]) as posthog:
        error = refused(client(posthog.url, answer_within=0.3), chat_request())
        (details,) = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"]).details
        delay = RetryInfo()
        details.Unpack(delay)
        assert (error.code().name, delay.retry_delay.seconds) == ("UNAVAILABLE", 1)


def test_a_decompression_bomb_is_refused(client: MakeClient, posthog: LocalPostHog) -> None:
    import grpc

    sender = client(posthog.url, max_body_bytes=1_000_000)
    error = refused(sender, bytes(20_000_000), compression=grpc.Compression.Gzip)
    assert error.code().name == "RESOURCE_EXHAUSTED"


class Balancer:
    """Sends a trace's spans to the one bridge that its id stands for; what a dead bridge did not take, to another."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._clients = [Client(address) for address in addresses]
        self._sent: list[tuple[bytes, bytes, grpc.Future]] = []

    def send(self, span: ReadableSpan) -> None:
        request = traces_request([span])
        self._send(request.resource_spans[0].scope_spans[0].spans[0].trace_id, request.SerializeToString())

    def _send(self, trace_id: bytes, body: bytes) -> None:
        chosen = hashlib.sha256(trace_id).digest()[0] % len(self._clients)
        self._sent.append((trace_id, body, self._clients[chosen].begin(body)))

    def forget(self, number: int) -> None:
        """A bridge is gone: what it has not acknowledged is sent again."""
        failed = [(trace_id, body) for trace_id, body, answer in self._sent if answer.exception() is not None]
        self._clients.pop(number).close()
        for trace_id, body in failed:
            self._send(trace_id, body)

    def answers(self) -> list[bytes]:
        return [answer.result() for _, _, answer in self._sent if answer.exception() is None]

    def close(self) -> None:
        for one in self._clients:
            one.close()


def pieces(traces: Sequence[int]) -> list[ReadableSpan]:
    """The spans of traces of an agent and a model call, in any order; only the agent names the user."""
    spans = []
    for number in traces:
        trace_id = f"{number + 1:032x}"
        agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a", "user.id": f"user-{number}",
                 "gen_ai.input.messages": CHAT["gen_ai.input.messages"]}  # fmt: skip
        spans.append(made_span(attributes=agent, trace_id=trace_id, span_id=AGENT_ID))
        spans.append(made_span(attributes=CHAT, trace_id=trace_id, span_id=CHILD_ID, parent_id=AGENT_ID))
    random.Random(7).shuffle(spans)
    return spans


def test_bridges_behind_a_balancer_by_trace_id_see_whole_traces(posthog: LocalPostHog) -> None:
    with ExitStack() as stack:
        bridges = [
            stack.enter_context(BridgeInThread(posthog.url, grpc=True, window=Window(30), answer_within=20))
            for _ in range(3)
        ]
        balancer = Balancer([bridge.grpc_address or "" for bridge in bridges])
        stack.callback(balancer.close)
        for span in pieces(range(20)):
            balancer.send(span)
        assert balancer.answers() == [b""] * 40
        assert all(bridge.default.counts.spans for bridge in bridges)
    generations = [event for event in posthog.events() if event["event"] == "$ai_generation"]
    assert {(event["properties"]["$ai_trace_id"], event["distinct_id"]) for event in generations} == {
        (f"{number + 1:032x}", f"user-{number}") for number in range(20)
    }
    assert {event["properties"]["$ai_parent_id"] for event in generations} == {AGENT_ID}


def test_a_bridge_that_is_killed_behind_a_balancer_loses_nothing(posthog: LocalPostHog) -> None:
    ports = [free_port(), free_port()]
    with ExitStack() as stack:
        bridges = [stack.enter_context(BridgeProcess(posthog.url, "--grpc-port", str(port))) for port in ports]
        balancer = Balancer([f"127.0.0.1:{port}" for port in ports])
        stack.callback(balancer.close)
        spans = pieces(range(40))
        for span in spans[:40]:
            balancer.send(span)
        bridges[0].kill()
        balancer.forget(0)
        for span in spans[40:]:
            balancer.send(span)
        balancer.answers()
    found = {(e["properties"]["$ai_trace_id"], e["event"]) for e in posthog.events()}
    assert found == {(f"{n + 1:032x}", name) for n in range(40) for name in ("$ai_generation", "$ai_trace")}
