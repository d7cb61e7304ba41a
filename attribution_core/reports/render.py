"""Renders the templates of this package. Whatever a template is given is escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from attribution_core.common.images import data_uri
from attribution_core.common.text import percent, percent_range, rounded_percent, share_words, web_link

_TEMPLATES = Path(__file__).resolve().parent / "templates"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,  # captions, names and links are strangers' text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"data_uri": data_uri, "percent": percent, "web_link": web_link}
    environment.filters["rounded_percent"] = rounded_percent
    environment.globals["percent_range"] = percent_range
    environment.globals["share_words"] = share_words
    return environment


def render(template: str, **values: Any) -> str:
    """Render a template by its file name. values: what it names; all text in them is escaped."""
    return _environment().get_template(template).render(values)
