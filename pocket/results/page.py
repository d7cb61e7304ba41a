"""The page's generated part, which stands between two marks; a test fails where it is not what the cards say."""

from __future__ import annotations

from pathlib import Path

from attribution_core.common.files import atomic_path
from pocket.results import attribution, counterfactual, encoders, generator, memorization

PAGE = Path("docs/results.md")
START, END = "<!-- written by python -m pocket.results -->", "<!-- end of what it writes -->"
SECTIONS = {
    "Generator": generator.section,
    "Attribution": attribution.section,
    "Leaving training images out": counterfactual.section,
    "Memorization": memorization.section,
    "Encoders": encoders.section,
}


def figures() -> str:
    """The generated part, as Markdown."""
    return "\n\n".join(f"### {title}\n\n" + "\n".join(section()) for title, section in SECTIONS.items())


def rewritten(text: str) -> str:
    """The page's text with the part between the marks written anew."""
    before, rest = text.split(START)
    return f"{before}{START}\n{figures()}\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Write it."""
    text = rewritten(PAGE.read_text(encoding="utf-8"))
    with atomic_path(PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8")
