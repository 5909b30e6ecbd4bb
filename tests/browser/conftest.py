"""A headless Chromium for tests: `browser`, a fresh `page` for every test, and its `page_errors`.

A test that opens a page and expects no trouble ends with `assert not page_errors`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
NO_BROWSER = (
    "no Chromium: install Debian's (apt-get install chromium) or Playwright's "
    "(playwright install chromium), or name one in DSE_CHROMIUM"
)
SEEN_MS = 60_000.0
"""Bounds a hang: beside other tests on a small machine a page may take long."""

expect.set_options(timeout=SEEN_MS)


def find_chromium(own: Path | None = None) -> Path | None:
    """`DSE_CHROMIUM`, then a usual name on the path, then what Playwright downloaded.

    Args:
        own: Where Playwright's own would be.

    Raises:
        FileNotFoundError: `DSE_CHROMIUM` names no file.
    """
    if named := os.environ.get("DSE_CHROMIUM"):
        if not Path(named).is_file():
            raise FileNotFoundError(f"DSE_CHROMIUM names no file: {named}")
        return Path(named)
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    return own if own is not None and own.is_file() else None


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; tests that want it are skipped where there is none.

    For a module and not the session: while it is there, an event loop runs in this thread, and
    tests elsewhere could start none of their own.
    """
    with sync_playwright() as playwright:
        chromium = find_chromium(Path(playwright.chromium.executable_path))
        if chromium is None:
            pytest.skip(NO_BROWSER)
        launched = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@pytest.fixture
def page_errors() -> list[str]:
    """What went wrong in the page: errors on its console, and exceptions that nobody caught."""
    return []


@pytest.fixture
def page(browser: Browser, page_errors: list[str]) -> Iterator[Page]:
    """A page in a context of its own, 1280 x 900."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SEEN_MS)
    opened = context.new_page()

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            page_errors.append(message.text)

    opened.on("console", note)
    opened.on("pageerror", lambda error: page_errors.append(str(error)))
    yield opened
    context.close()
