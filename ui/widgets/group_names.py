"""What visitors call that by which images are grouped."""

from __future__ import annotations

from attribution_core.attribution.groups import GroupBy

GROUP_NAMES = {
    GroupBy.CREATOR: "maker",
    GroupBy.SOURCE: "source",
    GroupBy.LICENCE: "licence",
    GroupBy.STYLE: "style",
}
GROUP_CHOICES = [(name, str(by)) for by, name in GROUP_NAMES.items()]
"""For a radio button: label and value."""
