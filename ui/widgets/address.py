"""The browser's address bar: it carries the tab and the recipe in sight, for Back, reload and shared links.

Scripts alone; the server reads the recipe from the address when the page opens, see `ui.services.link`.
"""

from __future__ import annotations

KEEP_RESULT = """(query, method) => {
  const url = new URL(location.href);
  for (const name of ['prompt', 'seed', 'steps', 'guidance', 'generator', 'method']) url.searchParams.delete(name);
  for (const [name, value] of new URLSearchParams(query || '')) url.searchParams.set(name, value);
  if (query && method) url.searchParams.set('method', method);
  const recipe = new URLSearchParams(url.search);
  recipe.delete('tab');
  const first = window.shownRecipe === undefined;
  window.shownRecipe = recipe.toString();
  if (first || url.href === location.href) return;  // what the page opens on has its address already
  const before = new URLSearchParams(location.search);
  const same = ['prompt', 'seed'].every((name) => before.get(name) === url.searchParams.get(name));
  history[same ? 'replaceState' : 'pushState'](null, '', url);  // a link may have named less
}"""
"""After another image came: put its recipe into the address. Takes the end of the link, and the method."""

OPEN = """async () => {
  const show = () => {
    const name = new URLSearchParams(location.search).get('tab') || 'generate';
    const tab = [...document.querySelectorAll('#tabs > .tab-wrapper [role=tab]')].find(
      (one) => one.dataset.tabId === name);
    if (tab && tab.getAttribute('aria-selected') !== 'true') { window.goingBack = true; tab.click(); }
    return tab;
  };
  window.addEventListener('popstate', () => {
    const recipe = new URLSearchParams(location.search);
    recipe.delete('tab');
    if (window.shownRecipe !== undefined && recipe.toString() !== window.shownRecipe) location.reload();
    else show();
  });
  for (let tries = 0; tries < 50 && !show(); tries++) await new Promise((go) => setTimeout(go, 100));
  window.addressOpen = true;
}"""
"""When the page opens: show the tab that the address names, and follow Back and Forward."""


def keep_tab(name: str) -> str:
    """When a tab is chosen: put its id into the address."""
    return f"""() => {{
  if (!window.addressOpen) return;  // the first tab is chosen before anybody chooses
  const url = new URL(location.href);
  if (window.goingBack) {{ window.goingBack = false; return; }}
  url.searchParams.set('tab', '{name}');
  if (url.href !== location.href) history.pushState(null, '', url);
}}"""
