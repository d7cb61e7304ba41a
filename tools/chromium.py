"""Opens Chromium without a window, for pictures and measurements of the page."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run the system's Chromium within the context.

    Raises `typer.BadParameter` where there is no program of that name.
    """
    program = shutil.which("chromium")
    if program is None:
        raise typer.BadParameter(
            "no program 'chromium' on the PATH; Debian: apt-get install chromium fonts-liberation."
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()
