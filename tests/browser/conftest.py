"""Debian's Chromium, and the app opened in it.

All tests share one context, so that what the pages load comes from its cache. A page is a visit of its own to the app:
`opened` and `own` are fresh ones, `visited` is one for a whole file.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support.browser import PATIENCE_MS, dismiss, tab, watched

CHROMIUM = shutil.which("chromium")
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, object]) -> dict[str, object]:
    if CHROMIUM is None:
        pytest.skip("no program 'chromium' on the PATH; Debian: apt-get install chromium fonts-liberation")
    return {
        **browser_type_launch_args,
        "executable_path": CHROMIUM,
        "args": ["--no-sandbox", "--disable-dev-shm-usage"],
    }


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    yield page
    page.close()


@pytest.fixture
def opened(page: Page, pocket_app: str) -> Iterator[Page]:
    """The page on its first example."""
    yield from watched(page, pocket_app)


@pytest.fixture
def own(page: Page, own_app: str) -> Iterator[Page]:
    yield from watched(page, own_app)


@pytest.fixture(scope="module")
def visit(context: BrowserContext, pocket_app: str) -> Iterator[Page]:
    page = context.new_page()
    yield from watched(page, pocket_app)
    page.close()


@pytest.fixture
def visited(visit: Page) -> Page:
    """The page as earlier tests left it, on its first tab and without toasts; for what is so on any visit."""
    tab(visit, "Generate")
    expect(visit.locator("#made img")).to_be_visible()
    dismiss(visit)
    return visit
