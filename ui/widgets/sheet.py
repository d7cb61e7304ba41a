"""One training image in detail, on a sheet over the page: Escape, the back button or a tap outside closes it."""

from __future__ import annotations

import html
import json

from attribution_core.common.text import one_line
from attribution_core.corpus.credit import Credit
from ui.widgets.facts import credit_facts, facts_list
from ui.widgets.set_links import alike_link, maker_link


def sheet(credit: Credit, picture: str, *, stored: bool, drawn: str = "", at: int = 0, count: int = 1) -> str:
    """The sheet, closed.

    picture: its address. drawn: another text each time, so that the script can tell it from the sheet before it, which
    may be of the same image. at: the image's place among the `count` of the grid, from 0.
    """
    name = one_line(credit.caption or credit.id)
    alt = html.escape(credit.description, quote=True)
    by_maker = f"All by {maker_link(credit.creator)}" if credit.creator else ""

    def step(by: int, words: str, sign: str, there: bool) -> str:
        disabled = "" if there else " disabled"
        return f'<button data-step="{by}" aria-label="{words}"{disabled}>{sign}</button>'

    return (
        f'<dialog class="sheet" data-drawn="{drawn}" data-at="{at}" data-image="{html.escape(credit.id, quote=True)}" '
        f'aria-label="{html.escape(name, quote=True)}"><div class="sheet-bar">'
        f"{step(-1, 'Previous image', '←', at > 0)}{step(1, 'Next image', '→', at < count - 1)}"
        '<button data-close aria-label="Close">✕</button></div>'
        f'<img src="{html.escape(picture, quote=True)}" alt="training image: {alt}">'
        f"{facts_list(name, credit_facts(credit, stored=stored))}"
        f'<p class="sheet-links">{alike_link(credit)}{by_maker and f"<span>{by_maker}</span>"}</p></dialog>'
    )


def show_sheet(*, chosen: bool) -> str:
    """A script for after a sheet came: show it. It takes what `sheet` was given as `drawn`, or "" for none.

    chosen: whether the visitor chose the image, which then goes into the address; else the address must name it still.
    """
    return f"""async (drawn) => {{
  let sheet = null;
  for (let tries = 0; drawn && !sheet && tries < 100; tries++) {{
    sheet = document.querySelector(`#set-sheet dialog[data-drawn="${{drawn}}"]`);
    if (!sheet) await new Promise((go) => setTimeout(go, 20));
  }}
  if (!sheet || sheet.open) return;
  const image = sheet.dataset.image;
  const url = new URL(location.href), named = url.searchParams.get('image');
  if (named !== image) {{
    if (!{json.dumps(chosen)}) return;
    url.searchParams.set('image', image);
    // Going on from one to the next on the list is no step of its own.
    history[named ? 'replaceState' : 'pushState']({{sheet: true}}, '', url);
  }}
  sheet.onclick = ({{target}}) => {{
    const step = Number(target.dataset.step);
    if (step) window.stepSheet(step);
    if (target === sheet || 'close' in target.dataset) sheet.close();
  }};
  sheet.onclose = () => {{
    const url = new URL(location.href);
    if (!sheet.isConnected || url.searchParams.get('image') !== image) return;
    url.searchParams.delete('image');
    if (history.state?.sheet) history.back();
    else history.replaceState(null, '', url);  // the page was opened on it
  }};
  sheet.showModal();
}}"""


_CLOSE = '<button data-close popovertarget="details" aria-label="Close" autofocus>✕</button>'
CLOSE_DETAILS = f'<div class="sheet-bar">{_CLOSE}</div>'
SHOW_DETAILS = """() => {
  const box = document.getElementById('details');
  if (!box.showPopover || !matchMedia('(max-width: 700px)').matches) {
    const {top, bottom} = box.getBoundingClientRect();
    if (top > innerHeight - 200 || bottom < 200) box.scrollIntoView({behavior: 'smooth', block: 'start'});
    return;
  }
  if (box.matches(':popover-open')) return;  // tapped twice
  const close = () => box.hidePopover();
  Object.assign(box, {popover: 'auto', role: 'dialog', ariaLabel: 'Training image', ontoggle: ({newState}) => {
    if (newState === 'open') return;
    window.removeEventListener('popstate', close);
    for (const name of ['popover', 'role', 'aria-label']) box.removeAttribute(name);
    if (history.state?.sheet) history.back();
  }});
  if (!history.state?.sheet) history.pushState({sheet: true}, '');  // it is there after a reload, or Forward
  window.addEventListener('popstate', close);
  box.showPopover();
}"""
"""After a training image was chosen in Attribution: its details beside the list, on a phone as a sheet over it."""
