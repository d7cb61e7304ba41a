"""What is left of uploaded artwork on the disk."""

from __future__ import annotations

from pathlib import Path

from attribution_core.common.images import read_image
from tests.support.fakes import shape_image


def holds(folder: Path, *seeds: int) -> list[Path]:
    """Files under a folder whose pixels are those of a shape, or whose names are those of a piece.

    Training images that were shown lie there, too, and one of them is such a shape.
    """
    pixels = {shape_image(s).tobytes() for s in seeds}
    found = []
    for path in folder.rglob("*"):
        if not path.is_file() or path.parent.name.startswith("pictures-"):
            continue
        try:
            same = read_image(path).tobytes() in pixels
        except Exception:
            same = False
        if same or "piece" in path.name:
            found.append(path)
    return found
