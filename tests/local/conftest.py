"""One headless browser for the session; without one the tests say what is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")  # its event loop runs until it ends, and then other tests cannot use asyncio
def browser() -> Iterator[Any]:
    """The system's Chromium, by Playwright. With ``REQUIRE_BROWSER=1`` a missing one is a failure."""
    missing = pytest.fail if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip
    try:
        import axe_playwright_python  # noqa: F401
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        missing("the browser tests need Playwright: pip install playwright axe-playwright-python")
    path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if path is None:
        missing("the browser tests need Chromium: apt-get install chromium")
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()
