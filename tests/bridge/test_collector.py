"""App -> Collector -> bridge -> PostHog, with the bridge restarted and killed while spans come."""

from __future__ import annotations

import subprocess
from pathlib import Path

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_posthog.local import LocalPostHog
from tests.support.bridges import BridgeProcess, wait_until
from tests.support.made import made_span
from tests.support.ports import free_port
from tests.support.spans import CHAT

BATCHES, SPANS = 40, 10


class Collector:
    """rotel, which receives OTLP and sends it on to one endpoint."""

    def __init__(self, program: str, endpoint: str, protocol: str) -> None:
        http, grpc = free_port(), free_port()
        self.url = f"http://127.0.0.1:{http}"
        self._process = subprocess.Popen(
            [
                program, "start", "--otlp-http-endpoint", f"127.0.0.1:{http}",
                "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--exporter", "otlp",
                "--otlp-exporter-endpoint", endpoint, "--otlp-exporter-protocol", protocol,
                "--otlp-exporter-retry-initial-backoff", "200ms", "--otlp-exporter-retry-max-backoff", "1s",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self) -> Collector:
        wait_until(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            requests.post(f"{self.url}/v1/traces", b"", headers={"Content-Type": "application/x-protobuf"}, timeout=1)
        except requests.ConnectionError:
            return False
        return True


def export(exporter: OTLPSpanExporter, batch: int) -> None:
    spans = [
        made_span(attributes=CHAT, trace_id=f"{batch * SPANS + n + 1:032x}", span_id=f"{n + 1:016x}")
        for n in range(SPANS)
    ]
    assert exporter.export(spans) is SpanExportResult.SUCCESS


def test_nothing_is_lost_when_the_bridge_is_restarted_in_mid_stream(
    rotel: str, posthog: LocalPostHog, tmp_path: Path
) -> None:
    spooling = BridgeProcess(posthog.url, POSTHOG_SPOOL_DIR=str(tmp_path))
    with spooling as bridge, Collector(rotel, bridge.url, "http") as collector:
        exporter = OTLPSpanExporter(f"{collector.url}/v1/traces")
        for batch in range(BATCHES):
            export(exporter, batch)
            if batch == 8:
                bridge.terminate()
            if batch == 16:
                bridge.start()
            if batch == 24:
                # rotel gives up what is under way when the connection breaks, so it must have been answered.
                posthog.wait_for(25 * SPANS, 60)
                bridge.kill()
            if batch == 32:
                bridge.start()
        arrived = posthog.wait_for(BATCHES * SPANS, 60)
    assert len({event["uuid"] for event in arrived}) == BATCHES * SPANS


def test_a_collector_that_speaks_grpc(rotel: str, grpc_library: None, posthog: LocalPostHog) -> None:
    port = free_port()
    serving = BridgeProcess(posthog.url, "--grpc-port", str(port))
    with serving, Collector(rotel, f"http://127.0.0.1:{port}", "grpc") as collector:
        export(OTLPSpanExporter(f"{collector.url}/v1/traces"), 0)
        assert len(posthog.wait_for(SPANS, 30)) == SPANS
