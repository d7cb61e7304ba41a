"""A stop of the tour on the page, and the scripts that open it."""

from __future__ import annotations

import html
import json

from attribution_core.reports.handout import Stop
from ui.widgets.pairs import PICTURE, figure

TAKE_TOUR = "Take the tour"
LINK = f'<a href="?tour" id="take-tour">{TAKE_TOUR}</a>'
"""Opens the tour on the page that is there; a browser that opens it in a new tab gets the tour, too."""
NOT_HERE = "<p class='status'>Nothing was found here that shows this. Go on to the next.</p>"
WHAT_NOW = (
    "<p class='status'>That was the tour. Now ask the same of an image of your own, or see how near your artwork is to "
    "the training images.</p>"
)
_GO = """const go = (changes) => {
    const url = new URL(location.href);
    for (const [name, value] of Object.entries(changes))
      if (value) url.searchParams.set(name, value); else url.searchParams.delete(name);
    history.pushState({tour: true}, '', url);
    dispatchEvent(new PopStateEvent('popstate', {state: history.state}));
  };"""
WATCH_ADDRESS = f"""() => {{
  {_GO}
  const asked = () => new URLSearchParams(location.search);
  document.body.classList.toggle('embed', asked().has('embed'));
  const follow = () => {{
    const open = document.getElementById('tour')?.offsetParent;
    if (open || asked().has('tour')) document.getElementById(open ? 'tour-show' : 'tour-open')?.click();
  }};
  window.addEventListener('popstate', follow);
  document.addEventListener('click', (event) => {{
    const step = event.target.closest?.('#tour-steps [role=tab][aria-disabled=false]');
    if (!step && !event.target.closest?.('#take-tour')) return;
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go({{tour: step?.dataset.tabId || '1'}});
  }}, true);  // before a click draws the step anew, and its target is gone
  follow();
}}"""
"""When the page opens: hide head and foot where the address has `embed`, and show the stop that it names, from now on.

`tour` in the address names the stop, and `?tour` is the first: every stop is a step in the browser's history.
"""


def back(stop: int) -> str:
    """A script that goes to this stop: what the browser's Back does, unless the page was opened on the next one."""
    return f"""() => {{
  if (history.state?.tour) return history.back();
  const url = new URL(location.href);
  url.searchParams.set('tour', {stop});
  history.replaceState(null, '', url);
  dispatchEvent(new PopStateEvent('popstate'));
}}"""


def show(count: int) -> str:
    """A script that shows the stop that the address names, or hides the tour. count: of stops."""
    return f"""() => {{
  const tour = new URLSearchParams(location.search).get('tour'), box = document.getElementById('tour');
  if (tour === null) return [{{__type__: 'update', visible: false}}, {{__type__: 'update'}}];
  if (box?.offsetParent) box.scrollIntoView({{block: 'start'}});
  const selected = Math.min(Math.max(Number.parseInt(tour) || 1, 1), {count});
  return [{{__type__: 'update', visible: true}}, {{__type__: 'update', selected}}];
}}"""


def go(**changes: str) -> str:
    """A script that puts these into the address, as a step of its own, and shows what it names then; "" takes out."""
    return f"""() => {{
  {_GO}
  go({json.dumps(changes)});
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
