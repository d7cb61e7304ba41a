"""What the browser tests do on a page, and the app as it is started for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect

from attribution_core.settings import Settings

PROMPT = "red heart, fluent style"
PATIENCE_MS = 60_000
"""How long a page may take to show what it should; what comes sooner is not waited for."""


def tab(page: Page, name: str, part: str = "") -> None:
    """Bring a tab into sight, and the part of it that is named."""
    page.locator("#tabs > .tab-wrapper").get_by_role("tab", name=name, exact=True).click()
    if part:
        parts = page.locator(f"#{name.lower()}-parts > .tab-wrapper")
        parts.get_by_role("tab", name=part, exact=True).click()


def unfold(page: Page, fold: str) -> None:
    """Open an accordion of the tab in sight where it is closed."""
    content = page.locator(f"#{fold} [data-testid=accordion-content]")
    if not content.is_visible():
        page.locator(f"#{fold} > button.label-wrap").click()
        expect(content).to_be_visible()
        page.wait_for_timeout(300)  # Gradio sets the fields just after it drew them, over what was typed


def dismiss(page: Page) -> None:
    """Close all toasts."""
    page.evaluate("document.querySelectorAll('[data-testid=toast-close]').forEach((one) => one.click())")
    expect(page.get_by_test_id("toast-body")).to_have_count(0)


def listed(page: Page) -> Locator:
    return page.locator("#gallery .thumbnail-item")


def hand_over(page: Page, path: Path) -> None:
    """Upload a file on the first tab."""
    tab(page, "Generate")
    unfold(page, "upload-fold")
    page.locator("#upload input[type=file]").set_input_files(path)


def upload(page: Page, image: Image.Image, path: Path, *, claimed: bool = False) -> None:
    """Upload an image on the first tab, as the file at this path.

    claimed: say, on the tab Attribution, that a model trained on the collection made it, and wait for its shares.
    """
    image.save(path)
    hand_over(page, path)
    if claimed:
        claim(page, path.stem)


def claim(page: Page, title: str) -> None:
    """Say that a model trained on the collection made the image of this title; the tab By image stays in sight."""
    tab(page, "Attribution", "By image")
    expect(page.locator("#headline")).to_contain_text(f"Image: “{title}”")
    page.locator("#claim input").check()
    expect(page.locator("#rest")).to_contain_text("together")


def saved(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator(button).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def generate(page: Page, prompt: str = PROMPT, seed: int = 5) -> None:
    page.locator("#prompt textarea").fill(prompt)
    unfold(page, "recipe-fold")
    page.locator("#keep-seed input").check()
    set_steps(page, 6)
    page.locator("#seed input").fill(str(seed))
    page.locator("#seed input").blur()
    page.locator("#generate").click()
    expect(page.locator("#status")).to_contain_text(f"“{prompt}” · seed {seed} · 6 steps")


def set_steps(page: Page, steps: int) -> None:
    unfold(page, "recipe-fold")
    page.locator("#steps input[type=number]").fill(str(steps))
    page.locator("#steps input[type=number]").blur()
    expect(page.locator("#steps input[type=range]")).to_have_value(str(steps))


def choose(page: Page, box: str, name: str) -> None:
    page.locator(f"#{box} input").click()
    page.get_by_role("option", name=name, exact=True).click()


def start(settings: Settings) -> Iterator[str]:
    """The app on a free port, until the fixture ends."""
    from ui.page import build, launch
    from ui.services.app import Services

    services = Services.open(settings)
    services.warm_up()
    for thread in threading.enumerate():  # two threads that import diffusers at once get halves of it
        if thread.name == "warm-up":
            thread.join()
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
