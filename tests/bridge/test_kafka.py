"""`otel-posthog consume` with librdkafka's mock cluster, and with Tansu, a broker in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from otel_posthog.local import LocalPostHog
from tests.support.bridges import wait_until
from tests.support.made import made_span
from tests.support.otlp import as_json, traces_request
from tests.support.ports import free_port
from tests.support.spans import CHAT

if TYPE_CHECKING:
    from confluent_kafka import Producer

pytestmark = pytest.mark.usefixtures("kafka_client")

SPANS, DEAD = "otlp_spans", "otel_posthog_dead_letters"


def message_of(number: int) -> bytes:
    body: bytes = traces_request(
        [made_span(attributes=CHAT, trace_id=f"{number + 1:032x}", span_id=f"{number + 1:016x}")]
    ).SerializeToString()
    return body


class Consumer:
    """`otel-posthog consume` in a process of its own."""

    def __init__(self, brokers: str, posthog: LocalPostHog, *arguments: str) -> None:
        environment = {**os.environ, "POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": posthog.url}
        command = [sys.executable, "-m", "otel_posthog.cli", "consume", "--brokers", brokers, "--kafka",
                   "session.timeout.ms=6000", "--trace-window", "0.2", *arguments]  # fmt: skip
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def stop(self) -> str:
        """SIGTERM; what it has written."""
        self.process.terminate()
        output, _ = self.process.communicate(timeout=30)
        return output

    def __enter__(self) -> Consumer:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def mock_cluster() -> Iterator[tuple[str, Producer]]:
    """The address of librdkafka's mock cluster, and a producer, which it lives in."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 1})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    yield f"{broker.host}:{broker.port}", producer
    producer.flush(5)


@pytest.fixture
def broker(tansu: str) -> Iterator[str]:
    """The address of Tansu, with its topics."""
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [tansu, "broker", "--listener-url", f"tcp://{address}", "--advertised-listener-url", f"tcp://{address}",
         "--storage-engine", "memory://tansu/"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    create = [tansu, "topic", "create", "--broker", f"tcp://{address}", "--partitions", "4", SPANS]
    wait_until(lambda: subprocess.run(create, capture_output=True, check=False).returncode == 0)
    yield address
    process.kill()
    process.wait()


def produce(producer: Producer, numbers: range, encode: Callable[[int], bytes] = message_of) -> None:
    for number in numbers:
        producer.produce(SPANS, encode(number), key=f"{number + 1:032x}")
        producer.poll(0)


def read_all(brokers: str, topic: str, count: int) -> list[Any]:
    from confluent_kafka import Consumer as KafkaConsumer

    consumer = KafkaConsumer({"bootstrap.servers": brokers, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found: list[Any] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            found.append(message)
    consumer.close()
    return found


def test_messages_become_events(mock_cluster: tuple[str, Producer], posthog: LocalPostHog) -> None:
    brokers, producer = mock_cluster
    produce(producer, range(10))
    with Consumer(brokers, posthog):
        assert len(posthog.wait_for(10, 30)) == 10


def test_json_as_rotel_writes_it(mock_cluster: tuple[str, Producer], posthog: LocalPostHog) -> None:
    import json

    brokers, producer = mock_cluster
    body = json.dumps(json.loads(as_json(traces_request([made_span(attributes=CHAT)])))["resourceSpans"])
    producer.produce(SPANS, body.encode(), key=b"")
    with Consumer(brokers, posthog):
        assert len(posthog.wait_for(1, 30)) == 1


def test_a_poison_message_goes_to_the_dead_letter_topic(
    mock_cluster: tuple[str, Producer], posthog: LocalPostHog
) -> None:
    brokers, producer = mock_cluster
    produce(producer, range(2))
    producer.produce(SPANS, b"<poison>", key=b"k")
    produce(producer, range(2, 4))
    with Consumer(brokers, posthog) as consumer:
        posthog.wait_for(4, 30)
        (dead,) = read_all(brokers, DEAD, 1)
        output = consumer.stop()
    assert (dead.value(), dead.key()) == (b"<poison>", b"k")
    assert dict(dead.headers())["reason"] == b"not protobuf"
    assert f"{SPANS}/" in dict(dead.headers())["source"].decode()
    assert "poison" not in output


def test_what_was_delivered_is_committed(mock_cluster: tuple[str, Producer], posthog: LocalPostHog) -> None:
    brokers, producer = mock_cluster
    produce(producer, range(5))
    with Consumer(brokers, posthog) as first:
        posthog.wait_for(5, 30)
        first.stop()
    posthog.clear()
    produce(producer, range(5, 8))
    with Consumer(brokers, posthog):
        assert {event["properties"]["$ai_span_id"] for event in posthog.wait_for(3, 30)} == {
            f"{number + 1:016x}" for number in range(5, 8)
        }


def test_what_was_not_delivered_is_read_again_after_kill_9(mock_cluster: tuple[str, Producer]) -> None:
    brokers, producer = mock_cluster
    produce(producer, range(20))
    with LocalPostHog(faults=["503"]) as posthog:
        with Consumer(brokers, posthog) as first:
            wait_until(lambda: bool(posthog.requests()), 30)
            first.process.kill()
        posthog.faults.clear()
        with Consumer(brokers, posthog):
            assert len(posthog.wait_for(20, 40)) == 20


def test_two_consumers_one_killed_in_mid_stream(broker: str, posthog: LocalPostHog) -> None:
    from confluent_kafka import Producer

    producer, total = Producer({"bootstrap.servers": broker}), 600
    with Consumer(broker, posthog) as first, Consumer(broker, posthog):
        produce(producer, range(100))
        posthog.wait_for(100, 40)
        for start in range(100, total, 50):
            produce(producer, range(start, start + 50))
            producer.flush(5)
            if start == 250:
                first.process.kill()
            time.sleep(0.1)
        arrived = posthog.wait_for(total, 60)
    assert len({event["uuid"] for event in arrived}) == total
