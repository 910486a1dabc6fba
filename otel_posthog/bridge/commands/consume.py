"""`otel-posthog consume`: OTLP from Kafka topics, in a consumer group."""

from __future__ import annotations

import logging
import signal
from typing import Any

import click

from otel_posthog.bridge._intake import Intake
from otel_posthog.bridge._kafka import KafkaSource
from otel_posthog.bridge._project import Project
from otel_posthog.bridge._ticket import Signal
from otel_posthog.bridge.commands import options

_MIB = 1024 * 1024


def _configuration(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    for value in values:
        if "=" not in value:
            raise click.BadParameter(f"{value!r}: it must be NAME=VALUE", context, option)
    return dict(value.split("=", 1) for value in values)


@click.command()
@click.option("--brokers", required=True, metavar="HOST:PORT,…", help="Kafka's bootstrap servers.")
@click.option("--traces-topic", "traces", multiple=True, default=("otlp_spans",), show_default=True,
              help="Topic with spans. Repeatable.")  # fmt: skip
@click.option("--logs-topic", "logs", multiple=True, default=("otlp_logs",), show_default=True,
              help="Topic with log records. Repeatable.")  # fmt: skip
@click.option("--group", default="otel-posthog", show_default=True, help="Consumer group.")
@click.option("--dead-letter-topic", default="otel_posthog_dead_letters", show_default=True,
              help="Where messages go that can never become events.")  # fmt: skip
@click.option("--kafka", "configuration", multiple=True, callback=_configuration, metavar="NAME=VALUE",
              help="A setting of librdkafka, such as security.protocol=SSL. Repeatable.")  # fmt: skip
@options.trace_window
@options.window_size
@click.option("--max-memory-mib", type=click.IntRange(1), default=64, show_default=True,
              help="MiB of messages that are read and not delivered.")  # fmt: skip
@options.verbose
def consume(
    brokers: str,
    traces: tuple[str, ...],
    logs: tuple[str, ...],
    group: str,
    dead_letter_topic: str,
    configuration: dict[str, str],
    window_seconds: float,
    window_mib: int,
    max_memory_mib: int,
    verbose: bool,
) -> None:
    """Read OTLP from Kafka, as the Collector's Kafka exporter writes it, and send AI spans to PostHog.

    Any number of consumers share the work. A message is committed after its events were delivered.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Kafka is the spool; what is not delivered is read again.
    settings = options.with_room(options.load_settings(retry_for=86_400.0), max_memory_mib * _MIB)
    project = Project(settings, options.window_of(window_seconds, window_mib), options.observer_of(verbose))
    intake = Intake([project], max_body_bytes=256 * _MIB, max_held_bytes=max_memory_mib * _MIB, answer_within=None)
    topics: dict[str, Signal] = {**dict.fromkeys(traces, "traces"), **dict.fromkeys(logs, "logs")}
    source = KafkaSource(
        intake, project, topics, {"bootstrap.servers": brokers, "group.id": group, **configuration}, dead_letter_topic
    )

    def stop(*_: Any) -> None:
        source.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    options.tune_garbage_collection()
    intake.start()
    click.echo(f"Kafka {brokers}, topics {', '.join(topics)}, to {settings.host}")
    try:
        source.run()
    finally:
        intake.close(settings.timeout)
