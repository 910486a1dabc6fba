"""The types of the options, for type checkers and editors; a test compares them with the table in ``settings``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    import requests
    from opentelemetry.sdk.trace import ReadableSpan

Endpoint = Literal["auto", "ai", "batch", "v1", "event"]
WhenFull = Literal["drop_oldest", "drop_newest"]
Compression = Literal["gzip", "zstd", "none"]

Redaction = str | Callable[[str, str], str]


class Options(TypedDict, total=False):
    """The options that ``configure()``, the processor and the exporter take beside ``api_key`` and ``host``.

    docs/options.md describes them. ``None`` counts as not given.
    """

    endpoint: Endpoint | None
    timeout: float | None
    retry_for: float | None
    max_retries: int | None
    hold: float | None
    max_memory_bytes: int | None
    max_queue_size: int | None
    max_queue_bytes: int | None
    when_full: WhenFull | None
    spool_dir: str | os.PathLike[str] | None
    max_spool_bytes: int | None
    max_spool_age: float | None
    rejected_dir: str | os.PathLike[str] | None
    compression: Compression | None
    proxy: str | None
    certificate: str | os.PathLike[str] | None
    client_certificate: str | os.PathLike[str] | None
    client_key: str | os.PathLike[str] | None
    session: requests.Session | None
    on_drop: Callable[[str, str, str], object] | None
    max_batch_bytes: int | None
    max_batch_events: int | None
    max_concurrent_requests: int | None
    accept_empty_answers: bool | None
    historical_migration: bool | None
    capture_content: bool | None
    capture_spans: bool | None
    capture_unmapped: bool | None
    allow_attributes: str | Iterable[str] | None
    deny_attributes: str | Iterable[str] | None
    redact: Redaction | list[Redaction] | tuple[Redaction, ...] | None
    keep_media: int | None
    deduplicate: bool | None
    remote_parents: bool | None
    sample_rate: float | None
    sample_errors: bool | None
    should_export: Callable[[ReadableSpan], bool] | None
    distinct_id: str | None
    properties: Mapping[str, Any] | None
    handle_sigterm: bool | None
    hints: bool | None
    disabled: bool | None
