"""mkdocs hook: the site takes along the files that pages link to, so that `../assets/x.png` works there and on GitHub.

Pages link to files outside of `docs/` as GitHub expects it, by `../`. In the site, these files are in `repository/`;
Markdown files become pages there, and their links to `docs/` lead back.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parent.parent
INSIDE = "repository"
_OUTSIDE = re.compile(r"(?<=\]\()\.\./(?=[^)]+\))")
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(?=[#)])")


def on_files(files: Files, config: Any) -> Files:
    """Add what pages link to outside of `docs/`."""
    for name in sorted(_linked(files)):
        added = File.generated(config, f"{INSIDE}/{name}", abs_src_path=str(ROOT / name))
        added.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(added)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links that leave `docs/`, and those of pages from outside of it."""
    source = page.file.src_uri
    if not source.startswith(f"{INSIDE}/"):
        return _OUTSIDE.sub(f"{INSIDE}/", markdown)
    return _LINK.sub(
        lambda link: f"../{link[1].removeprefix('docs/')}" if link[1].startswith("docs/") else link[1],
        markdown,
    )


def _linked(files: Files) -> set[str]:
    """Paths in the repository, of what pages link to and of what such a page links to in turn."""
    found: set[str] = set()
    todo = [
        name[3:]
        for file in files.documentation_pages()
        for name in _LINK.findall(file.content_string)
        if name.startswith("../")
    ]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        if name.endswith(".md"):
            text = (ROOT / name).read_text(encoding="utf-8")
            todo += [link for link in _LINK.findall(text) if not link.startswith("docs/")]
    return found
