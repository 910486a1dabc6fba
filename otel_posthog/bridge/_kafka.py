"""Consumes OTLP from Kafka as the Collector's Kafka exporter writes it.

A message is committed once its events are delivered, so a consumer that is killed loses nothing: another one reads its
uncommitted messages again, and derived uuids make that harmless. What can never work goes to a dead-letter topic.

Source: Collector contrib, exporter/kafkaexporter/README.md (values are ``ExportTraceServiceRequest``,
``ExportLogsServiceRequest``); rotel writes JSON as a bare list.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from otel_posthog.bridge._intake import Intake, Request
from otel_posthog.bridge._project import Project
from otel_posthog.bridge._ticket import Signal, Ticket

logger = logging.getLogger("otel_posthog")

_POLL = 0.05  # seconds
_COMMIT_EVERY = 1.0
_DRAIN = 5.0  # seconds that partitions which go to another consumer may take to finish
_MOST_MESSAGES = 1_000  # at once


@dataclass(slots=True)
class _Partition:
    """Messages of a partition that are not committed, in order, and the offset up to which they are done."""

    waiting: deque[tuple[Message, Ticket]] = field(default_factory=deque)
    done: int | None = None


class KafkaSource:
    """One member of a consumer group.

    Args:
        topics: each topic and the signal on it.
        configuration: librdkafka's; ``bootstrap.servers`` and ``group.id`` are required.
        dead_letter_topic: where messages go that can never become events.
    """

    def __init__(
        self,
        intake: Intake,
        project: Project,
        topics: Mapping[str, Signal],
        configuration: Mapping[str, str],
        dead_letter_topic: str,
    ) -> None:
        self._intake, self._project, self._topics = intake, project, topics
        self._dead_letter_topic = dead_letter_topic
        self._consumer = Consumer(
            {
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "cooperative-sticky",
                **configuration,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
            }
        )
        shared = ("bootstrap.servers", "security.", "sasl.", "ssl.")
        self._producer = Producer({k: v for k, v in configuration.items() if k.startswith(shared)})
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._in_flight = 0
        self._paused = False
        self._stopping = False
        self._committed_at = time.monotonic()

    def stop(self) -> None:
        """Finish what was read, then return from :meth:`run`. May be called in a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Consume until :meth:`stop`."""
        self._consumer.subscribe(list(self._topics), on_revoke=self._revoked, on_lost=self._lost)
        try:
            while not self._stopping:
                self._pause_or_resume()
                message = self._consumer.poll(_POLL)
                if message is not None:
                    self._take(message)
                self._settle()
                if time.monotonic() - self._committed_at >= _COMMIT_EVERY:
                    self._commit(self._partitions)
            self._drain(list(self._partitions), _DRAIN)
        finally:
            self._consumer.close()

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.fatal():
                raise KafkaException(error)
            if error.code() != KafkaError._PARTITION_EOF:
                logger.warning("Kafka: %s", error.str())
            return
        self._in_flight += 1
        key = message.topic() or "", message.partition() or 0
        self._partitions.setdefault(key, _Partition()).waiting.append((message, self._submit(message)))

    def _submit(self, message: Message) -> Ticket:
        body = message.value() or b""
        # Reserved in any case: `_pause_or_resume` keeps to the bound, give or take a message.
        self._intake.reserve(len(body))
        signal = self._topics[message.topic() or ""]
        return self._intake.submit(Request(self._project, signal, body[:1] in (b"{", b"["), body))

    def _pause_or_resume(self) -> None:
        """Read no further while what was read waits for PostHog; polling goes on, so that the group stays."""
        is_full = self._in_flight >= _MOST_MESSAGES or self._intake.is_full or self._project.is_full
        if is_full != self._paused:
            (self._consumer.pause if is_full else self._consumer.resume)(self._consumer.assignment())
            self._paused = is_full

    def _settle(self) -> None:
        for partition in self._partitions.values():
            while partition.waiting and partition.waiting[0][1].future.done():
                message, ticket = partition.waiting[0]
                answer = ticket.future.result()
                if answer.status == 503:  # not taken: PostHog is behind
                    break
                partition.waiting.popleft()
                self._in_flight -= 1
                if answer.status != 200 or answer.rejected:
                    self._bury(message, answer.message)
                partition.done = (message.offset() or 0) + 1
            self._resubmit(partition)

    def _resubmit(self, partition: _Partition) -> None:
        if self._project.is_full:
            return
        for index, (message, ticket) in enumerate(partition.waiting):
            if ticket.future.done() and ticket.future.result().status == 503:
                partition.waiting[index] = message, self._submit(message)

    def _bury(self, message: Message, reason: str) -> None:
        """Copy a message to the dead-letter topic, before it is committed."""
        position = f"{message.topic()}/{message.partition()}/{message.offset()}"
        logger.warning("Kafka: %s goes to %s: %s", position, self._dead_letter_topic, reason)
        headers = [*(message.headers() or ()), ("reason", reason.encode()), ("source", position.encode())]
        self._producer.produce(self._dead_letter_topic, message.value(), message.key(), headers=headers)

    def _commit(self, partitions: Sequence[tuple[str, int]] | Mapping[tuple[str, int], _Partition]) -> None:
        self._committed_at = time.monotonic()
        offsets = [
            TopicPartition(*key, known.done)
            for key in partitions
            if (known := self._partitions.get(key)) is not None and known.done is not None
        ]
        if not offsets or self._producer.flush(_DRAIN):
            return  # what is to be buried is not safe yet
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:  # during a rebalance; whoever gets the partition reads again from the last one
            logger.debug("Kafka: commit refused: %s", error)
            return
        for topic, number, offset in ((one.topic, one.partition, one.offset) for one in offsets):
            known = self._partitions[topic, number]
            if known.done == offset:
                known.done = None

    def _drain(self, keys: Sequence[tuple[str, int]], seconds: float) -> None:
        self._intake.flush()
        deadline = time.monotonic() + seconds
        while any(self._partitions[key].waiting for key in keys if key in self._partitions):
            self._settle()
            if time.monotonic() >= deadline:
                break
            time.sleep(_POLL / 5)
        self._commit(keys)

    def _revoked(self, _: Consumer, revoked: Sequence[TopicPartition]) -> None:
        keys = [(one.topic, one.partition) for one in revoked]
        self._drain(keys, _DRAIN)
        self._forget(keys)

    def _lost(self, _: Consumer, lost: Sequence[TopicPartition]) -> None:
        self._forget([(one.topic, one.partition) for one in lost])

    def _forget(self, keys: Sequence[tuple[str, int]]) -> None:
        for key in keys:
            known = self._partitions.pop(key, None)
            self._in_flight -= len(known.waiting) if known is not None else 0
