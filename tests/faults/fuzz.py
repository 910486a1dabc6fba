"""Mutated spans through the processor, and PostHog's contract on what comes out. ``make fuzz SPANS=1000000``.

Nothing may raise, no AI span may be without its event, and no event may be refused or misread. Everything is the
product's own way, from ``on_start`` to the HTTP request; instead of a socket, the contract answers in the process.
"""

from __future__ import annotations

import io
import logging
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests
import urllib3
from opentelemetry.sdk.trace import ReadableSpan
from requests.adapters import HTTPAdapter

from otel_posthog import PostHogSpanProcessor
from otel_posthog.events.identity import event_uuid
from otel_posthog.local.contract import Event, endpoint_of, judge
from otel_posthog.local.findings import findings_of
from tests.faults.loads import KEY
from tests.faults.mutations import trace
from tests.support import recordings

_AT_ONCE = 500  # spans, then a flush
_OPTIONS: tuple[dict[str, Any], ...] = (
    {}, {}, {}, {"capture_content": False}, {"redact": ("email", "phone", "card", "key")}, {"deduplicate": False},
    {"endpoint": "v1"}, {"deny_attributes": ("gen_ai.input.*", "llm.*")},
)  # fmt: skip
_ALLOWED = "The trace's latency"  # true of any trace, mutated or not


class Contract(HTTPAdapter):
    """Answers as PostHog does; keeps the uuids that it took and the reasons for what it did not."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: set[str] = set()
        self.bytes = 0
        self.refusals: Counter[str] = Counter()

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Judge a request; nothing leaves the process."""
        endpoint = endpoint_of(request.path_url)
        assert endpoint is not None
        headers = {name.lower(): str(value) for name, value in request.headers.items()}
        verdict = judge(endpoint, headers, request.body.read())  # type: ignore[union-attr]
        self.bytes += verdict.decompressed_bytes
        if verdict.refusal is not None:
            self.refusals[verdict.refusal.detail[:200]] += 1
        for event in verdict.events:
            self._keep(event)
        response = requests.Response()
        response.status_code, response.request, response.url = verdict.status, request, str(request.url)
        response.raw = urllib3.HTTPResponse(io.BytesIO(verdict.answer()[0]), preload_content=False)
        return response

    def _keep(self, event: Event) -> None:
        self.taken.add(event.uuid)
        stored = {
            "event": event.name, "distinct_id": event.distinct_id, "properties": event.properties, "deliveries": 1
        }  # fmt: skip
        for effect, sentence in findings_of(stored):  # type: ignore[arg-type]  # what of it the checks read
            if effect in ("nulled", "misread") and not sentence.startswith(_ALLOWED):
                self.refusals[f"{effect}: {sentence}"] += 1


class _Complaints(logging.Handler):
    """What the product logs. It says so when it catches an error, so each is one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        self.found[record.getMessage()[:200]] += 1


@dataclass
class Report:
    """Of one run; ``lost`` are AI spans without an event, ``stats`` the sums of all processors."""

    spans: int = 0
    ai_spans: int = 0
    lost: list[str] = field(default_factory=list)
    exceptions: Counter[str] = field(default_factory=Counter)
    invalid: Counter[str] = field(default_factory=Counter)
    stats: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    seconds: float = 0.0


def run(spans: int, seed: int) -> Report:
    """Send ``spans`` mutated spans; the same ones for the same seed."""
    report, complaints = Report(), _Complaints()
    logger = logging.getLogger("otel_posthog")
    logger.addHandler(complaints)
    before, threading.excepthook = threading.excepthook, lambda args: report.exceptions.update([repr(args.exc_value)])
    begun = time.process_time()
    try:
        while report.spans < spans:
            _send(report, random.Random(f"{seed} {report.spans}"))
    finally:
        threading.excepthook = before
        logger.removeHandler(complaints)
    report.seconds = time.process_time() - begun
    report.exceptions += complaints.found
    return report


def _send(report: Report, chance: random.Random) -> None:
    """The traces of an app, mostly with one library, and a look at what became of them."""
    contract, session = Contract(), requests.Session()
    session.mount("http://", contract)
    processor = PostHogSpanProcessor(KEY, "http://127.0.0.1:9", session=session, hints=False, **chance.choice(_OPTIONS))
    names = chance.sample(recordings.NAMES, chance.choice((1, 1, 1, 2, 3)))
    sent: list[ReadableSpan] = []
    while len(sent) < _AT_ONCE:
        spans, logs = trace(chance.choice(names), chance)
        for span in reversed(spans):  # parents end last
            processor.on_start(span)  # type: ignore[arg-type]  # a ReadableSpan has all that is read
        for owner, record in logs:
            ids = owner.get_span_context()
            processor.exporter.runtime.collector.log_emitted(ids.trace_id, ids.span_id, record)
        for span in spans:
            processor.on_end(span)
        sent += spans
    if not processor.stop(60_000):
        report.exceptions["not everything was delivered"] += 1
    _look_at(sent, processor, contract, report)


def _look_at(sent: list[ReadableSpan], processor: PostHogSpanProcessor, contract: Contract, report: Report) -> None:
    pipeline = processor.exporter.runtime.pipeline
    for span in sent:
        ids = span.get_span_context()
        if event_uuid(f"{ids.trace_id:032x}", f"{ids.span_id:016x}") in contract.taken:
            report.ai_spans += 1
        elif pipeline.parse_context_span(span, None).operation is not None:
            report.lost.append(_described(span))
    stats = processor.stats()
    report.spans += len(sent)
    report.bytes += contract.bytes
    report.invalid += contract.refusals
    report.stats.update(accepted=stats.accepted, delivered=stats.delivered, **stats.dropped)


def _described(span: ReadableSpan) -> str:
    values = [f"{name!a}: {type(value).__name__}" for name, value in (span.attributes or {}).items()]
    return f"{span.name!a} {span.start_time} {span.end_time} {', '.join(values)}"[:2000]


def main(spans: int, seed: int) -> None:
    """Run and print; exit with 1 if something is wrong."""
    report = run(spans, seed)
    wrong = {"lost": Counter(report.lost), "exceptions": report.exceptions, "invalid": report.invalid}
    print(f"seed {seed}: {report.spans:,} spans, {report.ai_spans:,} AI spans with their event")
    print(", ".join(f"{sum(found.values())} {name}" for name, found in wrong.items()), dict(report.stats))
    print(f"{report.bytes / 2**20:,.0f} MiB of events in {report.seconds:,.0f} s of CPU, mutations included")
    for name, found in wrong.items():
        for text, count in found.most_common(5):
            print(f"{name}: {count} times {text}")
    sys.exit(any(wrong.values()))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
