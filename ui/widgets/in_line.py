"""A status line that says which place in line a visitor has while work waits for the generator.

Gradio tells the page every second how many are ahead, in words of its own that are hard to read; the server counts
them in the order in which they will be served (`ui.gradio_compat`).
"""

from __future__ import annotations

from typing import Any

import gradio as gr


def line(elem_id: str, **options: Any) -> gr.HTML:
    """A status line; give it to `ui.server.lanes.generation`. options: of Gradio's HTML."""
    return gr.HTML(elem_id=elem_id, elem_classes="in-line", **options)


WATCH_LINES = r"""() => setInterval(() => {
  for (const box of document.querySelectorAll('.in-line')) {
    const theirs = box.querySelector(':scope > [data-testid=status-tracker] .progress-text')?.textContent ?? '';
    const place = Number(/^queue: (\d+)/.exec(theirs.trim())?.[1] ?? 0);
    let ours = box.querySelector(':scope > .place');
    if (place < 2) { ours?.remove(); continue; }  // the first is served at once
    if (!ours) {
      ours = Object.assign(document.createElement('p'), {className: 'status place', role: 'status'});
      box.append(ours);
    }
    const teen = Math.floor(place / 10) % 10 === 1;
    const words = `Waiting: ${place}${(!teen && ['th', 'st', 'nd', 'rd'][place % 10]) || 'th'} in line.`;
    if (ours.textContent !== words) ours.textContent = words;
  }
}, 250)"""
"""When the page opens: from then on, say the place in plain words in place of what a waiting status line holds."""
