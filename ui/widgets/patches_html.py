"""Words and pictures of the part By patches of the tab Attribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.analyses.patches import PatchAttribution
from attribution_core.common.text import percent
from attribution_core.corpus.corpus import Corpus
from attribution_core.evidence.counterfactual import CounterfactualEvidence
from ui.widgets import patches_texts as texts
from ui.widgets.pairs import PICTURE, pairs_of

_FAINTEST = 0.12
"""How much is seen of the image where a training image has no weight."""


def head(evidence: CounterfactualEvidence | None) -> str:
    """What the part shows, and what it is worth."""
    rows = [] if evidence is None else [row for row in evidence.made.methods if row.method == "patches"]
    measured = "".join(
        texts.MEASURED.format(score=row.lds.value, low=row.lds.low, high=row.lds.high) for row in rows
    )
    return f'<div class="headline spread"><h2>{texts.TITLE}</h2>{texts.WHAT}{measured}</div>'


def found(result: PatchAttribution, image: Image.Image, corpus: Corpus) -> str:
    """Each training image beside the parts of the image where it weighs, and the rest."""
    credits = corpus.credits([int(position) for position in result.ids])
    shown = (
        (
            credit.description,
            (corpus.image(int(position)), texts.TRAINING.format(weight=percent(float(weight)))),
            (spotlit(image, place), texts.WHERE),
        )
        for position, weight, place, credit in zip(
            result.ids, result.weight, result.maps, credits, strict=True
        )
    )
    others = texts.OTHERS.format(count=len(corpus) - len(result.ids), weight=percent(result.others))
    return pairs_of(shown) + others


def spotlit(image: Image.Image, weight: NDArray[np.float32]) -> Image.Image:
    """The image on white, faint where there is little weight. weight: (h, w) of places all over it, at least 0."""
    picture = image.convert("RGB")
    picture.thumbnail((PICTURE, PICTURE))
    seen = _FAINTEST + (1 - _FAINTEST) * weight / max(float(weight.max()), 1e-9)
    mask = Image.fromarray((255 * seen).astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    return Image.composite(picture, Image.new("RGB", picture.size, "white"), mask)
