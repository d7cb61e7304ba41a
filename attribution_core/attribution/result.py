"""The attribution of one image."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.attribution.origin import MadeBy
from attribution_core.attribution.works import Work, works_of
from attribution_core.common.arrays import FloatArray, log_sum, whole
from attribution_core.common.text import csv_text
from attribution_core.corpus.credit import Credit
from attribution_core.errors import InvalidInputError
from attribution_core.retrieval.hits import Hits
from attribution_core.retrieval.rest import Rest, RestKind
from attribution_core.scoring.shares import Scale, Shares

STANDS_OUT_SHARE = 0.2
"""An image that stands out has at least this share for certain ..."""
STANDS_OUT_OVER_EVEN = 10.0
"""... at least this many times the share it would have if all training images had the same ..."""
STANDS_OUT_OVER_NEXT = 2.0
"""... and at least this many times the share of the next."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """The estimated influence of a training set on one image.

    Attributes:
        hits: The listed training images of one query, and what is known of the others.
        credits: One for each listed image.
        scale: How their similarities became influences.
        fitted_temperature: The collection's own.
        collection: Its name.
        encoder: Name of the encoder.
        made_by: Whether a model trained on the collection made the image. Where that is unknown, the numbers tell
            how similar training images are, and no influence.
        method: Which of the collection's methods attributed.

    Raises:
        InvalidInputError: There is not one query, or not one credit for each listed image.
    """

    hits: Hits = field(repr=False)
    credits: tuple[Credit, ...]
    scale: Scale
    fitted_temperature: float
    collection: str
    encoder: str
    made_by: MadeBy = MadeBy.UNKNOWN
    method: str = ""

    def __post_init__(self) -> None:
        """Check the parts against each other, and score."""
        if len(self.hits) != 1:
            raise InvalidInputError(f"hits hold {len(self.hits)} queries, expected 1.")
        if len(self.credits) != len(self):
            raise InvalidInputError(f"{len(self)} images are listed, and {len(self.credits)} credits given.")
        _ = self.shares

    def __len__(self) -> int:
        """Return the number of listed images."""
        return self.hits.ids.shape[1]

    @cached_property
    def shares(self) -> Shares:
        """Influences of the one query, with their intervals."""
        return self.scale.score(self.hits)

    @property
    def ids(self) -> NDArray[np.int64]:
        """(k,) positions in the corpus, most influential first."""
        return self.hits.ids[0]

    @property
    def similarity(self) -> NDArray[np.float32]:
        """(k,) in [-1, 1], descending."""
        return self.hits.similarity[0]

    @property
    def influence(self) -> FloatArray:
        """(k,) in [0, 1]; with `rest` they sum to 1."""
        return self.shares.influence[0]

    @property
    def influence_low(self) -> FloatArray:
        """(k,) the influence is at least this."""
        return self.shares.low[0]

    @property
    def influence_high(self) -> FloatArray:
        """(k,) the influence is at most this."""
        return self.shares.high[0]

    @property
    def uncalibrated(self) -> FloatArray:
        """(k,) plain softmax over similarities, temperature 1."""
        return self.shares.uncalibrated[0]

    @property
    def rest(self) -> float:
        """Influence of all images that are not listed."""
        return float(self.shares.rest[0])

    @property
    def rest_low(self) -> float:
        """Lower end of the rest."""
        return float(self.shares.rest_low[0])

    @property
    def rest_high(self) -> float:
        """Upper end of the rest."""
        return float(self.shares.rest_high[0])

    @property
    def rest_uncalibrated(self) -> float:
        """The rest in the plain softmax."""
        return float(self.shares.rest_uncalibrated[0])

    @property
    def rest_bins(self) -> Rest:
        """What is known of the images that are not listed (one query)."""
        return self.hits.rest

    @property
    def n_training(self) -> int:
        """Number of training images."""
        return int(self.hits.total[0])

    @property
    def temperature(self) -> float:
        """Temperature of these influences."""
        return self.scale.temperature

    @property
    def bias(self) -> float | None:
        """None for the softmax, else the bias of the paper's released form."""
        return self.scale.bias

    def at_temperature(self, temperature: float) -> Attribution:
        """Return the same hits scored at another temperature, without a second search.

        Raises `InvalidInputError` if the temperature is not a finite number above 0.
        """
        return dataclasses.replace(self, scale=Scale(temperature, self.bias))

    def head(self, top: int) -> Attribution:
        """Return the same attribution with only the first `top` images listed; the others join the rest.

        Each of them becomes a bin of its own, so that no influence changes. `stands_out` looks at the second, too: ask
        the whole, not a head of one. Raises `InvalidInputError` if `top` is below 1.
        """
        top = whole("top", top, 1)
        if top >= len(self):
            return self
        return dataclasses.replace(self, hits=self.hits.head(top), credits=self.credits[:top])

    @property
    def rank(self) -> NDArray[np.int64]:
        """(k,) place of each listed image among all candidates, from 1.

        An added candidate may lie among the rest: it then stands behind all images of the bins above it, and so may
        be off by the images of one bin, or of a sampled rest by those that one sample image stands for.
        """
        others = self.rest_bins.points
        order = np.argsort(-others.value[0], kind="stable")
        heavier = np.append(0.0, others.weight[0][order].cumsum())
        above = heavier[
            np.searchsorted(-others.value[0][order], -self.similarity.astype(np.float64), side="right")
        ]
        return np.arange(1, len(self) + 1) + np.rint(above).astype(np.int64)

    @property
    def kind(self) -> RestKind:
        """Whether the intervals are certain ("exact") or hold with 99 % confidence ("sampled")."""
        return self.rest_bins.kind

    @cached_property
    def effective_number(self) -> float:
        """How many equally influential images would be as spread out: exp of the entropy, in 1..n_training.

        The images of a bin of the rest, or those that a sample image stands for, count as equal; they share the rest as
        their similarities say.
        """
        others = self.rest_bins.points
        bins, count = others.value[0], others.weight[0]
        used = count > 0
        entropy = -_sum_p_log_p(self.influence)
        if self.rest > 0 and used.any():
            scaled = np.log(count[used]) + bins[used] / self.temperature
            mass = self.rest * np.exp(scaled - log_sum(scaled[None, :])[0])
            positive_mass = mass > 0
            entropy -= float(
                np.sum(mass[positive_mass] * np.log(mass[positive_mass] / count[used][positive_mass]))
            )
        return float(np.clip(np.exp(entropy), 1.0, self.n_training))

    @property
    def has_shares(self) -> bool:
        """Whether the influences mean influence: a model trained on the collection made the image, as far as known."""
        return self.made_by is not MadeBy.UNKNOWN

    @property
    def stands_out(self) -> bool:
        """Whether the first training image may be named as the one source; when false, say that none stands out.

        All three must hold for the certain lower end of its influence: (1) at least 1 in 5; (2) at least ten times
        an even share, 10 / n_training (half of everything where there are under 20 images); (3) at least twice the
        influence of the next. Near-duplicates count as one image. The thresholds were chosen on models whose exemplars
        are known; docs/how-it-works.md says how often what stands out is right.
        """
        least = self.works[0].low
        if least < STANDS_OUT_SHARE or least < min(STANDS_OUT_OVER_EVEN / self.n_training, 0.5):
            return False
        return len(self.works) < 2 or least >= STANDS_OUT_OVER_NEXT * self.works[1].influence

    @cached_property
    def works(self) -> tuple[Work, ...]:
        """The listed images with near-duplicates as one, in the order of their first images."""
        return works_of(self.credits, self.influence, self.influence_low, self.influence_high)

    def work_of(self, place: int) -> Work:
        """The work that a listed image is, alone or with its near-duplicates. place: from 0."""
        return next(work for work in self.works if place in work.places)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and text, as `attribute --json` prints them; ranks count from 1.

        Where near-duplicates are listed, "works" names them by their ranks, with their influence together.
        """
        rank = self.rank
        several = [w for w in self.works if w.near_duplicates]
        works = [
            {
                "ranks": [int(rank[p]) for p in w.places],
                "influence": w.influence,
                "low": w.low,
                "high": w.high,
                "creators": list(w.creators),
            }
            for w in several
        ]
        return {
            "collection": self.collection,
            "encoder": self.encoder,
            "n_training": self.n_training,
            "temperature": self.temperature,
            "rest": self.rest,
            "rest_low": self.rest_low,
            "rest_high": self.rest_high,
            "made_by": str(self.made_by),
            "top": [
                {
                    "rank": int(rank[place]),
                    "id": credit.id,
                    "similarity": float(self.similarity[place]),
                    "influence": float(self.influence[place]),
                    "low": float(self.influence_low[place]),
                    "high": float(self.influence_high[place]),
                    "uncalibrated": float(self.uncalibrated[place]),
                    "caption": credit.caption,
                    "creator": credit.creator,
                    "source": credit.source,
                    "licence": credit.licence,
                    "link": credit.link,
                    "opted_out": credit.opted_out,
                }
                for place, credit in enumerate(self.credits)
            ],
            **({"works": works} if works else {}),
        }

    def name_of(self, place: int) -> str:
        """What a listed image is called: its caption, else its id, else its number. place: from 0."""
        credit = self.credits[place]
        return credit.caption or credit.id or f"image {self.ids[place]}"

    def to_json(self) -> str:
        """Return `to_dict` as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)

    def to_csv(self) -> str:
        """Return the listed images as CSV with a header, one row an image; columns as in "top"."""
        rows = self.to_dict()["top"]
        return csv_text(rows[0], rows)


def _sum_p_log_p(share: FloatArray) -> float:
    some = share[share > 0]
    return float(np.sum(some * np.log(some)))
