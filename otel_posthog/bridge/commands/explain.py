"""`otel-posthog explain`: for each span of a file or trace, which reader took it and what became of its attributes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import orjson

from otel_posthog._explain import PROPERTY
from otel_posthog._pipeline import Pipeline
from otel_posthog._spans import SpanView
from otel_posthog.bridge._files import UnreadableError
from otel_posthog.bridge._recorded import map_spans, read_files
from otel_posthog.bridge.commands import options
from otel_posthog.conventions import MARKERS, reader_of
from otel_posthog.delivery import encode
from otel_posthog.events.identity import event_uuid
from otel_posthog.local.explanation import explanation_lines, explanation_of


@click.command()
@click.argument("what", metavar="FILE|TRACE")
@click.option("--trace", "trace_id", help="Only this trace of the file: an id or the beginning of one.")
@click.option(
    "--database", type=click.Path(dir_okay=False),
    default=lambda: str(Path(click.get_app_dir("otel-posthog")) / "local.db"),
    help="Database of the local PostHog, for a TRACE.",
)  # fmt: skip
def explain(what: str, trace_id: str | None, database: str) -> None:
    """Say for each span which reader took it, which attribute became which property, and what was left out.

    FILE is anything that `otel-posthog replay` reads; TRACE is the beginning of the id of a trace that the local
    PostHog has received.
    """
    if what == "-" or os.path.exists(what):
        lines = _explain_file(what, trace_id or "")
    else:
        lines = _explain_trace(what, database)
    try:
        for line in lines:
            click.echo(line)
    except BrokenPipeError:  # `| head`: click ends quietly
        raise
    except (UnreadableError, OSError) as error:
        raise click.ClickException(f"{what}: {error}") from None


def _explain_file(path: str, trace_id: str) -> Iterator[str]:
    has_key = os.environ.get("POSTHOG_API_KEY")
    settings = options.load_settings(**({} if has_key else {"api_key": "phc_explain"}))
    pipeline = Pipeline(settings, encode, explains=True)
    for part in read_files([path]):
        part.spans = [span for span in part.spans if span.trace_id.startswith(trace_id.lower())]
        result = map_spans(part, pipeline)
        found = [*part.events, *(orjson.loads(event.body) for event in result.events)]
        events = {str(event["uuid"]): event for event in found}
        merged = {
            other["span_id"]: event["event"]
            for event in found
            for other in event["properties"].get(PROPERTY, {}).get("merged", ())
        }
        for span in part.spans:
            event = events.pop(event_uuid(span.trace_id, span.span_id), None)
            yield f"span {span.span_id} of trace {span.trace_id}: {span.name}"
            if event is None:
                yield from _without_event(span, merged, result)
            else:
                yield from _with_event(event, event["properties"].get(PROPERTY))
            yield ""
        for event in events.values():  # that were captured before, and evaluations
            yield f"event {event['uuid']}"
            yield from _with_event(event, event["properties"].get(PROPERTY))
            yield ""
        for reason, count in part.rejected.items():
            yield f"{count} rejected: {reason}"


def _explain_trace(trace_id: str, database: str) -> Iterator[str]:
    if not Path(database).is_file():
        raise click.ClickException(
            f"{trace_id} is not a file, and there is no database of a local PostHog at {database}"
        )
    from otel_posthog.local.store import Store

    store = Store(database)
    found = store.trace_ids(trace_id)
    if not found:
        raise click.ClickException(f"{trace_id} is not a file, and no trace of the local PostHog starts with it")
    for one in found:
        for event, raw in store.explained_trace(one):
            yield f"event {event['uuid']} of trace {one}"
            yield from _with_event(dict(event), raw)
            yield ""


def _with_event(event: dict[str, Any], raw: object) -> Iterator[str]:
    found = explanation_of(raw, event["properties"].keys() - {PROPERTY})
    yield from explanation_lines(event["event"], found)


def _without_event(span: SpanView, merged: dict[str, str], result: Any) -> Iterator[str]:
    if span.span_id in merged:
        yield f"  no event of its own: it is another record of a call, and went into its {merged[span.span_id]}"
        return
    reader = reader_of(span)
    if reader is None:
        names = ", ".join(f"{marker}*" for marker in MARKERS[:4])
        yield f"  no event: no reader takes it; none of its {len(span.attributes)} attributes is one of {names}, …"
        return
    reasons = ", ".join(sorted({drop.reason.replace("_", " ") for drop in result.drops if drop.count}))
    yield f"  no event, though {reader.name} takes it: {reasons or 'it repeats another span, or says nothing'}"
