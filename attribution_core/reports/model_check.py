"""What a model brings back of a training set: rates with intervals, the training images, their makers, and shares."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from attribution_core.analyses.memorization.model_check import CheckedImage
from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.groups import Group, group
from attribution_core.attribution.origin import MadeBy
from attribution_core.attribution.result import Attribution
from attribution_core.collection.collection import Collection
from attribution_core.common.estimates import Estimate, proportion
from attribution_core.corpus.credit import Credit
from attribution_core.errors import InvalidInputError
from attribution_core.reports.render import render
from attribution_core.reports.scan import Scan, ScannedImage
from attribution_core.reports.wording import model_check as words
from attribution_core.reports.wording import verdict as verdict_words

CLOSEST = 24
"""Images that are no copies and yet shown on the page, the closest first."""
_MAKERS = 12
_TOP = 50  # training images attributed to each image


@dataclass(frozen=True)
class Came:
    """One training image that came back. images: drawn copies of it. prompts: of these. similarity: of the closest.

    own: copies whose prompt is its caption. share: its mean influence on these copies; None without shares.
    """

    position: int
    credit: Credit
    images: int
    own: int
    prompts: tuple[str, ...]
    similarity: float
    share: float | None


@dataclass(frozen=True)
class Rate:
    """A kind of prompts. copies: the part of its images that are copies. own: of the image with that caption.

    signal: mean of the noise signal; None where none was recorded.
    """

    name: str
    prompts: int
    images: int
    copies: Estimate
    own: Estimate
    signal: float | None


@dataclass(frozen=True, eq=False)
class ModelCheck:
    """The answer; see `of`. model: its name. scan: the images as the command `memorization` reports them.

    came: training images that came back, most often first. makers: by how many of their images came back. shares:
    mean influence by creator on all images; empty where there is none to speak of.
    """

    model: str
    model_sha256: str
    scan: Scan
    rates: tuple[Rate, ...]
    came: tuple[Came, ...]
    makers: tuple[tuple[str, int, int], ...]
    shares: tuple[Group, ...]

    @classmethod
    def of(
        cls,
        images: Sequence[CheckedImage],
        collection: Collection,
        model: str,
        *,
        trained_here: bool,
        device: str = "auto",
    ) -> ModelCheck:
        """Gather what `check_model` drew.

        trained_here: whether the model, or what it builds on, was trained on the collection, which shares presuppose.
        Raises `InvalidInputError` without images.
        """
        if not images:
            raise InvalidInputError(
                "nothing was drawn, so there is nothing to report; draw an image at least."
            )
        shares = _shares(images, collection, device) if trained_here else []
        came = _came(images, shares)
        makers: dict[str, list[int]] = defaultdict(list)
        for one in came:
            makers[one.credit.maker].append(one.images)
        return cls(
            model,
            images[0].made.recipe.generator_sha256,
            Scan.of([_scanned(image) for image in images], collection),
            tuple(_rates(images)),
            came,
            tuple(
                (name, len(counts), sum(counts))
                for name, counts in sorted(makers.items(), key=lambda one: (-len(one[1]), one[0]))
            ),
            group(shares, collection.corpus).groups[:_MAKERS] if shares else (),
        )

    @cached_property
    def measured(self) -> bool:
        """Whether the collection's measurements of the noise signal are of this model."""
        evidence = self.scan.evidence
        return evidence is not None and evidence.generator_sha256 == self.model_sha256

    @property
    def shown(self) -> tuple[ScannedImage, ...]:
        """Images for the page: all copies, then the closest of the others."""
        others = [item for item in self.scan.items if not item.verdict.is_copy]
        return (*(item for item in self.scan.items if item.verdict.is_copy), *others[:CLOSEST])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers and text, without pictures."""
        return {
            "model": self.model,
            "model_sha256": self.model_sha256,
            "verdict": words.check_sentence(self.scan.verdicts),
            "noise_signal_measured_for_this_model": self.measured,
            "rates": [asdict(rate) for rate in self.rates],
            "came_back": [
                {
                    "id": one.credit.id,
                    "caption": one.credit.title,
                    "creator": one.credit.creator,
                    "source": one.credit.source,
                    "licence": one.credit.licence,
                    "link": one.credit.link,
                    "images": one.images,
                    "own": one.own,
                    "prompts": list(one.prompts),
                    "similarity": one.similarity,
                    "share": one.share,
                }
                for one in self.came
            ],
            "makers": [
                {"maker": name, "training_images": count, "copies": images}
                for name, count, images in self.makers
            ],
            "shares_by_creator": [
                {"creator": g.name, "influence": g.influence, "low": g.low, "high": g.high}
                for g in self.shares
            ],
            "how_shares": words.HOW_SHARES if self.shares else words.NO_SHARES,
            "scan": self.scan.to_dict(),
        }

    def to_json(self) -> str:
        """Return `to_dict` as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)

    def to_html(self) -> str:
        """One HTML page that needs nothing else: no script, no other file, no network."""
        return render(
            "model_check.html.j2",
            title=f"Does {self.model} bring training images of {self.scan.collection} back?",
            check=self,
            scan=self.scan,
            words=words,
            verdict_how=verdict_words.verdict_how,
            verdict_sentence=verdict_words.verdict_sentence,
            verdict_title=verdict_words.verdict_title,
        )


def _scanned(image: CheckedImage) -> ScannedImage:
    recipe = image.made.recipe
    title = f"“{recipe.prompt}”, seed {recipe.seed}"
    return ScannedImage(title, image.made.image, image.verdict, recipe, image.made.noise_signal)


def _shares(images: Sequence[CheckedImage], collection: Collection, device: str) -> list[Attribution]:
    if not collection.calibrator.is_fitted:
        return []
    attributor = Attributor(collection, device)
    return [attributor.attribute(image.made.image, _TOP, made_by=MadeBy.SAID_SO) for image in images]


def _came(images: Sequence[CheckedImage], shares: Sequence[Attribution]) -> tuple[Came, ...]:
    copies: dict[int, list[int]] = defaultdict(list)
    for k, image in enumerate(images):
        if image.verdict.is_copy:
            copies[int(image.verdict.ids[0])].append(k)
    came = [
        Came(
            position,
            images[of[0]].verdict.credit,
            len(of),
            sum(images[k].is_own_copy for k in of),
            tuple(dict.fromkeys(images[k].prompt.text for k in of)),
            max(float(images[k].verdict.similarity[0]) for k in of),
            float(np.mean([_share(shares[k], position) for k in of])) if shares else None,
        )
        for position, of in copies.items()
    ]
    return tuple(sorted(came, key=lambda one: (-one.images, -one.similarity, one.position)))


def _share(result: Attribution, position: int) -> float:
    """The influence of a training image; 0 where it is not among those listed."""
    return float(result.influence[result.ids == position].sum())


def _rates(images: Sequence[CheckedImage]) -> list[Rate]:
    rates = []
    for name, captioned in ((words.CAPTIONS, True), (words.FRESH, False)):
        of = [image for image in images if bool(image.prompt.captioned) is captioned]
        if of:
            signals = [image.made.noise_signal.mean for image in of if image.made.noise_signal]
            rates.append(
                Rate(
                    name,
                    len({image.prompt.text for image in of}),
                    len(of),
                    proportion(np.array([bool(image.verdict.is_copy) for image in of])),
                    proportion(np.array([image.is_own_copy for image in of])),
                    float(np.mean(signals)) if signals else None,
                )
            )
    return rates
