"""The plain way to rank exemplars, which `exemplar_places` is compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rank_exemplars_last(similarity: NDArray[np.float64], is_exemplar: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Put (n,) exemplar marks in rank order, most similar first; exemplars come last in ties."""
    return np.asarray(is_exemplar[np.lexsort((is_exemplar, -similarity))])
