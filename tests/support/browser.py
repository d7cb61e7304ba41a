"""What the browser tests do on a page, and the app as it is started for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as BrowserTimeout

from attribution_core.settings import Settings

PROMPT = "red heart, fluent style"
PATIENCE_MS = 60_000
"""How long a page may take to show what it should; what comes sooner is not waited for."""


def tab(page: Page, name: str) -> None:
    shown = page.get_by_role("tab", name=name)
    if shown.is_visible():
        with suppress(BrowserTimeout):  # a page that has just opened shows all tabs for a moment
            shown.click(timeout=15_000)
            return
    page.locator(".overflow-menu > button").click()  # on a phone the last tabs are in a menu
    page.locator(".overflow-dropdown button", has_text=name).click()


def dismiss(page: Page) -> None:
    """Close all toasts."""
    page.evaluate("document.querySelectorAll('[data-testid=toast-close]').forEach((one) => one.click())")
    expect(page.get_by_test_id("toast-body")).to_have_count(0)


def listed(page: Page) -> Locator:
    return page.locator("#gallery .thumbnail-item")


def hand_over(page: Page, path: Path) -> None:
    """Upload a file on the first tab."""
    tab(page, "Generate")
    page.locator("#upload input[type=file]").set_input_files(path)


def upload(page: Page, image: Image.Image, path: Path) -> None:
    """Upload an image on the first tab, as the file at this path."""
    image.save(path)
    hand_over(page, path)


def saved(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator(button).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def generate(page: Page, prompt: str = PROMPT, seed: int = 5) -> None:
    page.locator("#prompt textarea").fill(prompt)
    page.locator("#seed input").fill(str(seed))
    page.locator("#steps input[type=number]").fill("6")
    page.locator("#steps input[type=number]").blur()
    page.locator("#generate").click()
    expect(page.locator("#status")).to_contain_text(f"“{prompt}” · seed {seed} · 6 steps")


def choose(page: Page, box: str, name: str) -> None:
    page.locator(f"#{box} input").click()
    page.get_by_role("option", name=name, exact=True).click()


def start(settings: Settings) -> Iterator[str]:
    """The app on a free port, until the fixture ends."""
    from ui.page import build, launch
    from ui.services.app import Services

    services = Services.open(settings)
    services.warm_up()
    page = build(services)
    _, url, _ = launch(page, services, prevent_thread_lock=True, quiet=True)
    yield url.rstrip("/")
    page.close()


def watched(page: Page, url: str) -> Iterator[Page]:
    """The page at an address; fails on script errors and on requests to other hosts."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith((url, "data:", "blob:")) else wrong.append(r.url))
    page.goto(url)
    expect(page.get_by_role("tab", name="Generate")).to_be_visible()
    yield page
    assert wrong == []
