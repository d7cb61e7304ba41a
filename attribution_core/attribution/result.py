"""The attribution of one image: what the library answers."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.attribution.works import Work, works_of
from attribution_core.common.arrays import FloatArray, log_sum, whole
from attribution_core.common.text import csv_text
from attribution_core.corpus.credit import Credit
from attribution_core.errors import InvalidInputError
from attribution_core.retrieval.hits import Hits
from attribution_core.retrieval.rest import Rest, RestKind
from attribution_core.scoring.shares import Shares, shares_at

STANDS_OUT_SHARE = 0.05
"""An image that stands out has at least this share for certain ..."""
STANDS_OUT_OVER_EVEN = 10.0
"""... at least this many times the share it would have if all training images had the same ..."""
STANDS_OUT_OVER_NEIGHBOURS = 10.0
"""... and at least this many times the median share of its closest followers."""
NEIGHBOURS = 19
"""How many followers (ranks 2 to 20) that median is taken over; fixed, so that `top` changes no verdict."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """The estimated influence of a training set on one image.

    Attributes:
        ids: (k,) int64 positions in the corpus, most influential first.
        similarity: (k,) float32 in [-1, 1], descending.
        influence: (k,) in [0, 1]; with `rest` they sum to 1.
        influence_low: (k,) the influence is at least this.
        influence_high: (k,) the influence is at most this.
        uncalibrated: (k,) plain softmax over similarities, temperature 1.
        rest: Influence of all images that are not listed.
        rest_low: Lower end of the rest.
        rest_high: Upper end of the rest.
        rest_uncalibrated: The rest in the plain softmax.
        n_training: Number of training images.
        credits: One for each listed image.
        temperature: The one these influences were made with.
        fitted_temperature: The collection's own.
        collection: Its name.
        encoder: Name of the encoder.
        rest_bins: What is known of the images that are not listed (one query).
        bias: None for the softmax, else the bias of the paper's released form.
    """

    ids: NDArray[np.int64]
    similarity: NDArray[np.float32]
    influence: FloatArray
    influence_low: FloatArray
    influence_high: FloatArray
    uncalibrated: FloatArray
    rest: float
    rest_low: float
    rest_high: float
    rest_uncalibrated: float
    n_training: int
    credits: tuple[Credit, ...]
    temperature: float
    fitted_temperature: float
    collection: str
    encoder: str
    rest_bins: Rest = field(repr=False)
    bias: float | None = None

    def __post_init__(self) -> None:
        """Check that the columns have one length and that the numbers of images add up."""
        lengths = {len(part) for part in (self.ids, self.similarity, self.influence, self.credits)}
        lengths |= {len(self.influence_low), len(self.influence_high), len(self.uncalibrated)}
        if len(lengths) != 1 or 0 in lengths:
            raise InvalidInputError(f"columns have lengths {sorted(lengths)}, expected one length above 0.")
        if len(self.rest_bins) != 1:
            raise InvalidInputError(f"rest_bins holds {len(self.rest_bins)} queries, expected 1.")
        known = len(self.ids) + int(self.rest_bins.total[0])
        if known != self.n_training:
            raise InvalidInputError(f"listed and unlisted images are {known}, expected {self.n_training}.")

    def __len__(self) -> int:
        """Return the number of listed images."""
        return len(self.ids)

    @classmethod
    def from_hits(
        cls,
        hits: Hits,
        credits: tuple[Credit, ...],
        *,
        temperature: float,
        fitted_temperature: float,
        collection: str,
        encoder: str,
        bias: float | None = None,
    ) -> Attribution:
        """Score the hits of one query. Raises `InvalidInputError` for another number of queries."""
        if len(hits) != 1:
            raise InvalidInputError(f"hits hold {len(hits)} queries, expected 1.")
        shares = shares_at(hits.similarity, hits.rest, temperature, bias)
        return cls(
            ids=hits.ids[0],
            similarity=hits.similarity[0],
            **_columns(shares),
            n_training=hits.ids.shape[1] + int(hits.rest.total[0]),
            credits=tuple(credits),
            temperature=float(temperature),
            fitted_temperature=float(fitted_temperature),
            collection=collection,
            encoder=encoder,
            rest_bins=hits.rest,
            bias=bias,
        )

    def at_temperature(self, temperature: float) -> Attribution:
        """Return the same hits scored at another temperature, without a second search.

        Raises `InvalidInputError` if the temperature is not a finite number above 0.
        """
        shares = shares_at(self.similarity[None, :], self.rest_bins, temperature, self.bias)
        return dataclasses.replace(self, temperature=float(temperature), **_columns(shares))

    def head(self, top: int) -> Attribution:
        """Return the same attribution with only the first `top` images listed; the others join the rest.

        Each of them becomes a bin of its own, so that no influence changes. `stands_out` looks at ranks 2 to
        20: ask the whole, not a shorter head. Raises `InvalidInputError` if `top` is below 1.
        """
        top = whole("top", top, 1)
        if top >= len(self):
            return self
        bins, joined = self.rest_bins, self.similarity[None, top:].astype(np.float64)
        ones = np.ones(joined.shape, dtype=np.int64)
        sample, owner = bins.sample, bins.sample_bin
        if sample is not None and owner is not None:
            sample = np.concatenate([sample, joined], axis=1)
            owner = np.concatenate([owner, bins.count.shape[1] + np.arange(joined.shape[1])])
        count = np.concatenate([bins.count, ones], axis=1)
        mean, low, high = (
            np.concatenate([part, joined], axis=1) for part in (bins.mean, bins.low, bins.high)
        )
        rest = Rest(count, mean, low, high, bins.kind, sample, owner)
        shares = shares_at(self.similarity[None, :top], rest, self.temperature, self.bias)
        return dataclasses.replace(
            self,
            ids=self.ids[:top],
            similarity=self.similarity[:top],
            credits=self.credits[:top],
            rest_bins=rest,
            **_columns(shares),
        )

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
    def stands_out(self) -> bool:
        """Whether the first training image may be named at all; when false, say that none stands out.

        All three must hold for the certain lower end of its influence: (1) at least 1 in 20; (2) at least
        ten times an even share, 10 / n_training (half of everything where there are under 20 images);
        (3) at least ten times the median influence of ranks 2 to 20. The third is what is missed when many
        images are about equally close: then they share the influence, and no single one stands out.
        Near-duplicates count as one image, the ranks are those of works. The thresholds are a convention
        for the display, not a significance test.
        """
        least = self.works[0].low
        if least < STANDS_OUT_SHARE or least < min(STANDS_OUT_OVER_EVEN / self.n_training, 0.5):
            return False
        followers = [work.influence for work in self.works[1 : 1 + NEIGHBOURS]]
        return not followers or least >= STANDS_OUT_OVER_NEIGHBOURS * float(np.median(followers))

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


def _columns(shares: Shares) -> dict[str, Any]:
    return {
        "influence": shares.influence[0],
        "influence_low": shares.low[0],
        "influence_high": shares.high[0],
        "uncalibrated": shares.uncalibrated[0],
        "rest": float(shares.rest[0]),
        "rest_low": float(shares.rest_low[0]),
        "rest_high": float(shares.rest_high[0]),
        "rest_uncalibrated": float(shares.rest_uncalibrated[0]),
    }


def _sum_p_log_p(share: FloatArray) -> float:
    some = share[share > 0]
    return float(np.sum(some * np.log(some)))
