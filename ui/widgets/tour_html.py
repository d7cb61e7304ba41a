"""A stop of the tour on the page, and the scripts that open it."""

from __future__ import annotations

import html

from attribution_core.reports.handout import Stop
from ui.widgets.pairs import PICTURE, figure

TAKE_TOUR = "Take the tour"
LINK = f'<a href="?tour" id="take-tour">{TAKE_TOUR}</a>'
"""Opens the tour on the page that is there; a browser that opens it in a new tab gets the tour, too."""
NOT_HERE = "<p class='status'>Nothing was found here that shows this. Go on to the next.</p>"
WATCH_ADDRESS = """() => {
  const asked = new URLSearchParams(location.search);
  document.body.classList.toggle('embed', asked.has('embed'));
  const open = () => document.getElementById('tour-open')?.click();
  document.addEventListener('click', (event) => {
    if (!event.target.closest?.('#take-tour')) return;
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    open();
  });
  if (asked.has('tour')) open();
}"""
"""When the page opens: hide head and foot where the address has `embed`, and start the tour where it has `tour`."""
SHOW = "() => ({__type__: 'update', visible: true})"
CLOSE = """() => {
  const url = new URL(location.href);
  url.searchParams.delete('tour');
  history.replaceState(null, '', url);
  return {__type__: 'update', visible: false};
}"""


def onward(number: int) -> str:
    """What a click on Next runs: go to that stop, and to its beginning."""
    return f"""() => {{
  document.getElementById('tour').scrollIntoView({{block: 'start'}});
  return {{__type__: 'update', selected: {number}}};
}}"""


def stop_html(stop: Stop | None) -> str:
    """A stop: its claim, a few words, pictures side by side, and what it is based on."""
    if stop is None:
        return NOT_HERE
    pictures = "".join(figure(one.image, one.caption, PICTURE) for one in stop.pictures)
    return (
        f'<div class="tour-stop"><h2>{html.escape(stop.title)}</h2><p>{html.escape(stop.words)}</p>'
        f'<div class="pieces">{pictures}</div>'
        f"<details><summary>How do we know?</summary><p class='status'>{html.escape(stop.how)}</p></details></div>"
    )
