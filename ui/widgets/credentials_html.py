"""What an uploaded picture's file says of itself, as a list of terms."""

from __future__ import annotations

import html

from attribution_core.credentials.read import Credentials
from attribution_core.reports.wording.credentials import UNPROVEN, credentials_words


def credentials_html(credentials: Credentials) -> str:
    """Draw the list; "" where the file says nothing."""
    if not credentials:
        return ""
    cells = "".join(
        f"<dt>{what}</dt><dd>{html.escape(value)}</dd>" for what, value in credentials_words(credentials)
    )
    return f'<div class="facts"><dl>{cells}</dl></div><p class="status">{UNPROVEN}</p>'
