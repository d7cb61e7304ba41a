"""The browser's address bar: it carries the tab, and the recipe or the place in the training set that is in sight.

For Back, reload and shared links. Scripts alone; the server reads addresses in `ui.services.link` and
`ui.services.place`.
"""

from __future__ import annotations

import json

from ui.services.place import NAMES, TAB

_SET = TAB.partition("=")[2]
_RECIPE = json.dumps(["prompt", "seed", "steps", "guidance", "generator", "method"])
_PLACE = json.dumps(list(NAMES))
_LISTS = json.dumps([name for name in NAMES if name != "image"])
_PART = """const part = (names, search = location.search) => {
    const all = new URLSearchParams(search);
    return new URLSearchParams(names.filter((name) => all.get(name)).map((name) => [name, all.get(name)])).toString();
  };
  const put = (url, names, query) => {
    for (const name of names) url.searchParams.delete(name);
    for (const [name, value] of new URLSearchParams(query)) if (names.includes(name)) url.searchParams.set(name, value);
  };"""

KEEP_RESULT = f"""(query, method) => {{
  {_PART}
  const url = new URL(location.href);
  put(url, {_RECIPE}, query || '');
  if (query && method) url.searchParams.set('method', method);
  const first = window.shownRecipe === undefined;
  window.shownRecipe = part({_RECIPE}, (first ? location : url).search);
  if (first || url.href === location.href) return;  // what the page opens on has its address already
  const before = new URLSearchParams(location.search);
  const same = ['prompt', 'seed'].every((name) => before.get(name) === url.searchParams.get(name));
  history[same ? 'replaceState' : 'pushState'](null, '', url);  // a link may have named less
}}"""
"""After another image came: put its recipe into the address. Takes the end of the link, and the method."""

KEEP_PLACE = f"""(place) => {{
  {_PART}
  const url = new URL(location.href);
  window.setPlace = place;
  if (url.searchParams.get('tab') !== '{_SET}' || part({_LISTS}) === part({_LISTS}, place)) return;
  const typing = url.searchParams.get('words') && new URLSearchParams(place).get('words');
  const others = {_LISTS}.filter((name) => name !== 'words');
  const same = typing && part(others) === part(others, place);
  put(url, {_PLACE}, place);
  history[same ? 'replaceState' : 'pushState'](null, '', url);
}}"""
"""After the training set shows something else: put its place into the address. Takes the place."""

HERE = f"""(place, ...rest) => {{
  {_PART}
  return [part({_PLACE}) || window.setPlace || '', ...rest];
}}"""
"""The place that the address names, or else the one that was in sight; in place of the first input."""

OPEN = f"""async () => {{
  {_PART}
  const show = () => {{
    const name = new URLSearchParams(location.search).get('tab') || 'generate';
    const tab = [...document.querySelectorAll('#tabs > .tab-wrapper [role=tab]')].find(
      (one) => one.dataset.tabId === name);
    if (tab && tab.getAttribute('aria-selected') !== 'true') {{ window.goingBack = true; tab.click(); }}
    else if (tab && window.addressOpen && name === '{_SET}') document.getElementById('set-open').click();
    return tab;
  }};
  const goTo = () => {{
    const sheet = document.querySelector('dialog.sheet[open]');
    const before = part({_LISTS}, window.setPlace || ''), now = part({_PLACE});
    window.setPlace = now;
    sheet?.close();
    if (!sheet || before !== now) show();  // else it lay over what is in sight
  }};
  window.addEventListener('popstate', () => {{
    if (window.shownRecipe !== undefined && part({_RECIPE}) !== window.shownRecipe) location.reload();
    else goTo();
  }});
  document.addEventListener('click', (event) => {{
    const link = event.target.closest?.('a[href^="{TAB}"]');
    if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    const url = new URL(location.href);
    put(url, {_PLACE}, link.getAttribute('href'));
    url.searchParams.set('tab', '{_SET}');
    const over = document.querySelector('[popover]');  // its own step in the history would lead to nothing
    history[over && history.state?.sheet ? 'replaceState' : 'pushState'](null, '', url);
    document.querySelector('dialog.sheet[open]')?.close();
    over?.hidePopover();
    goTo();
    document.getElementById('tabs').scrollIntoView({{block: 'start'}});
  }});
  window.stepSheet = (step) => {{
    const sheet = document.querySelector(`dialog.sheet[open]:has(button[data-step="${{step}}"]:enabled)`);
    const all = document.querySelectorAll('#set-grid .thumbnail-item');
    if (sheet) all[Number(sheet.dataset.at) + step]?.click();
  }};
  document.addEventListener('keydown', (event) => {{
    const step = {{ArrowLeft: -1, ArrowRight: 1}}[event.key];
    if (!step || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (event.target.closest('input, textarea, select, [role=tab], [role=slider], [role=radio]')) return;
    if (document.querySelector('dialog.sheet[open]')) window.stepSheet(step);
    else if (document.getElementById('set-grid')?.offsetParent)
      document.getElementById(step < 0 ? 'set-before' : 'set-after').click();
  }});
  for (let tries = 0; tries < 50 && !show(); tries++) await new Promise((go) => setTimeout(go, 100));
  window.addressOpen = true;
}}"""
"""When the page opens: show the tab that the address names, follow Back and Forward, links into the training set, and
the arrow keys in it."""


def keep_tab(name: str) -> str:
    """When a tab is chosen: put its id into the address, and the place in the training set with that tab alone."""
    return f"""() => {{
  if (!window.addressOpen) return;  // the first tab is chosen before anybody chooses
  {_PART}
  const url = new URL(location.href);
  if (window.goingBack) {{ window.goingBack = false; return; }}
  url.searchParams.set('tab', '{name}');
  put(url, {_PLACE}, '{name}' === '{_SET}' ? window.setPlace || '' : '');
  if (url.href !== location.href) history.pushState(null, '', url);
}}"""
