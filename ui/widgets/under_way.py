"""What the browser knows of images that are being attributed, so that a click meanwhile waits for them.

The server reads a visit's state when a click arrives. A click on a download that came while the image was still being
attributed was answered of the state before: with "nothing to report yet", or with the image before.
"""

from __future__ import annotations

LONGEST_S = 120
"""No click waits longer, should word of the end never come."""
AFTERWARDS = f"""async (...asked) => {{
  const since = () => Math.max(0, ...(window.underWay?.values() ?? []));
  while (Date.now() - since() < {LONGEST_S * 1000}) await new Promise((go) => setTimeout(go, 50));
  return asked;
}}"""
"""Before a request is sent: wait until nothing is under way."""


def begins(key: str) -> str:
    """What to run as a request is sent with which an image comes under way."""
    return f"(...asked) => {{ (window.underWay ??= new Map()).set('{key}', Date.now()); return asked; }}"


def ends(key: str) -> str:
    """What to run once the image is attributed, or will not be."""
    return f"() => {{ window.underWay?.delete('{key}'); }}"
