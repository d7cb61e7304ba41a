"""The section on leaving training images out."""

from __future__ import annotations

from collections.abc import Iterator

from attribution_core.evidence.counterfactual import Asked, CounterfactualEvidence
from pocket.generator.commands import POCKET
from pocket.results.tables import table


def section() -> Iterator[str]:
    """The section's lines."""
    found = CounterfactualEvidence.open(POCKET.folder)
    if found is None:
        raise FileNotFoundError("run `python -m pocket.counterfactual report` first")
    yield (
        f"{found.models} generators were trained on {found.training:,} drawings in {len(found.prompts)} styles, or on "
        f"some of them (`python -m pocket.counterfactual`, {found.date}, one H100): one on all of them, one without "
        "each style, the others on random halves. The score is the linear datamodeling score, the rank correlation of "
        "the losses that a method's scores predict with those of the models; its intervals are from a bootstrap over "
        "images and models. *Right style*: how often the style with the highest sum of scores is the one whose absence "
        f"raises the loss most; guessing reaches {found.made.chance:.0%}. *Rise*: of the loss without the credited "
        "style / without another one. Settings such as damping are chosen on a quarter of the halves. The models are "
        "smaller than the bundled generator and saw each drawing 160 times or more, so that they often repeat the "
        "drawing whose words they are given. Then the score mostly asks whether that drawing was there: it alone, as a "
        "method, does as well as any other. How far chance in training limits the scores was not measured."
    )
    for title, asked in (
        (f"{found.made.queries} images that the model trained on all makes", found.made),
        (f"{found.held_out.queries} drawings in the same styles that no model saw", found.held_out),
    ):
        yield ""
        yield f"{title}, {asked.halves} halves:"
        yield ""
        yield from table(("method", "score", "right style", "rise"), _rows(asked))


def _rows(asked: Asked) -> Iterator[tuple[str, ...]]:
    for row in asked.ranked:
        rise = f"{row.rise.value:+.0%} / {row.others.value:+.0%}"
        yield row.name, str(row.lds), f"{row.right.value:.0%}", rise
