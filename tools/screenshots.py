"""Takes the screenshots for README and docs in headless Chromium: `make screenshots`."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from PIL import Image
from playwright.sync_api import Browser, ViewportSize, sync_playwright

from tools.serve import ROOT, serve

OUT = ROOT / "assets"
DESKTOP, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=412, height=900)
Scheme = Literal["light", "dark"]
# selector of the last element that a tab draws
DRAWN = {
    "Generate": "#examples img",
    "Attribution": "#gallery img",
    "Scores": "#histogram .main-svg",
    "Credit": "#credit-map .main-svg",
    "Memorization": "#drop-off .main-svg",
    "Compare": "#slopes .main-svg",
    "Evidence": "#copies .main-svg",
}
# name, tab, colour scheme, window
SHOTS: tuple[tuple[str, str, Scheme, ViewportSize], ...] = (
    ("generate", "Generate", "light", DESKTOP),
    ("attribution", "Attribution", "light", DESKTOP),
    ("scores", "Scores", "light", DESKTOP),
    ("credit", "Credit", "light", DESKTOP),
    ("memorization", "Memorization", "light", DESKTOP),
    ("compare", "Compare", "light", DESKTOP),
    ("evidence", "Evidence", "light", DESKTOP),
    ("attribution-dark", "Attribution", "dark", DESKTOP),
    ("scores-dark", "Scores", "dark", DESKTOP),
    ("attribution-phone", "Attribution", "light", PHONE),
)

app = typer.Typer(help=__doc__, pretty_exceptions_enable=False, add_completion=False)


def shoot(browser: Browser, url: str, tab: str, scheme: Scheme, window: ViewportSize) -> bytes:
    """Take a PNG screenshot of a tab once everything on it is drawn. Raises the page's first error, if any."""
    page = browser.new_page(viewport=window, color_scheme=scheme, device_scale_factor=1.5)
    errors: list[Exception] = []
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(url)
    page.locator("#made img").wait_for()  # the page has opened on its example
    page.get_by_role("tab", name=tab).first.click()
    page.locator(DRAWN[tab]).last.wait_for()
    page.wait_for_timeout(1500)  # pictures fade in
    png = page.screenshot()
    page.close()
    if errors:
        raise errors[0]
    return png


def shrink(png: bytes) -> Image.Image:
    """Reduce a PNG to 256 colours: a third of the bytes without a visible difference."""
    return Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)


@app.command()
def main(
    collection: Annotated[Path, typer.Option(help="Collection folder.")] = ROOT / "checkpoints/pocket",
    out: Annotated[Path, typer.Option(help="Folder for screenshot-*.png.")] = OUT,
) -> None:
    """Write all screenshots."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("'chromium' is not on the PATH; Debian: apt-get install chromium fonts-liberation")
    with serve(collection) as served, sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        for name, tab, scheme, window in SHOTS:
            path = out / f"screenshot-{name}.png"
            shrink(shoot(browser, served.url, tab, scheme, window)).save(path, optimize=True)
            typer.echo(f"{path.name}: {path.stat().st_size // 1000} kB")
        browser.close()


if __name__ == "__main__":
    app()
