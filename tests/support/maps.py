"""Maps of collections without UMAP, which takes its time to start."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from attribution_core.collection.collection import Collection
from attribution_core.common.cards import read_card, write_card


def write_map(collection: Collection, points: ArrayLike) -> None:
    """Put a map with these points, (n, 2), into a collection."""
    folder = collection.layout.map
    folder.mkdir(exist_ok=True)
    values = np.asarray(points, np.uint16)
    np.save(folder / "points.npy", values)
    index = read_card(collection.layout.index())["files"]
    write_card(folder, {"n_training": len(values), "index": index, "files": ["points.npy"]})
