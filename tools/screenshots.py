"""Takes the screenshots for README and docs in headless Chromium: `make screenshots`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Literal

import typer
from PIL import Image
from playwright.sync_api import Browser, ViewportSize

from tools.chromium import chromium
from tools.serve import ROOT, serve

OUT = ROOT / "assets"
DESKTOP, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=412, height=900)
Scheme = Literal["light", "dark"]
# selector of the last element that a tab, or a part of one, draws
DRAWN = {
    "Generate": "#examples img",
    "By image": "#gallery img",
    "Scores": "#histogram .main-svg",
    "By maker": "#credit-map .main-svg",
    "Memorization": "#copy-query img",
    "Compare": "#slopes .main-svg",
    "All methods": "#copies .main-svg",
}
# name, tab and part of it, colour scheme, window
SHOTS: tuple[tuple[str, tuple[str, ...], Scheme, ViewportSize], ...] = (
    ("generate", ("Generate",), "light", DESKTOP),
    ("attribution", ("Attribution", "By image"), "light", DESKTOP),
    ("scores", ("Scores",), "light", DESKTOP),
    ("credit", ("Attribution", "By maker"), "light", DESKTOP),
    ("memorization", ("Memorization",), "light", DESKTOP),
    ("compare", ("Evidence", "Compare"), "light", DESKTOP),
    ("evidence", ("Evidence", "All methods"), "light", DESKTOP),
    ("attribution-dark", ("Attribution", "By image"), "dark", DESKTOP),
    ("scores-dark", ("Scores",), "dark", DESKTOP),
    ("attribution-phone", ("Attribution", "By image"), "light", PHONE),
)

app = typer.Typer(help=__doc__, pretty_exceptions_enable=False, add_completion=False)


def shoot(browser: Browser, url: str, tabs: tuple[str, ...], scheme: Scheme, window: ViewportSize) -> bytes:
    """Take a PNG screenshot of a tab, or a part, once everything is drawn. Raises the page's first error, if any."""
    page = browser.new_page(viewport=window, color_scheme=scheme, device_scale_factor=1.5)
    errors: list[Exception] = []
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(url)
    page.locator("#made img").wait_for()  # the page has opened on its example
    for tab in tabs:
        page.get_by_role("tab", name=tab, exact=True).first.click()
    page.locator(DRAWN[tabs[-1]]).last.wait_for()
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
    with chromium() as browser, serve(collection) as served:
        for name, tabs, scheme, window in SHOTS:
            path = out / f"screenshot-{name}.png"
            shrink(shoot(browser, served.url, tabs, scheme, window)).save(path, optimize=True)
            typer.echo(f"{path.name}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    app()
