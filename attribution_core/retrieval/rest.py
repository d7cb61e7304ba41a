"""Summary of the unlisted training images, which bounds their tail mass at any temperature.

The unlisted images of a query are divided into bins, each with its count, mean similarity and range. For a convex
f, a bin's sum of f lies between count * f(mean) (Jensen's inequality) and count times the chord of f between the
bin's ends, taken at the mean. So a single scan bounds the sum at every temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attribution_core.common.arrays import FloatArray, float_matrix, log_sum, positive, safe_log, whole
from attribution_core.errors import InvalidInputError
from attribution_core.retrieval.sampled_sum import StratifiedSample, log_sampled_sum

DEFAULT_BINS = 4096
_ROUNDING = 1e-6


class RestKind(StrEnum):
    """How reliable the interval of a `Rest` is."""

    EXACT = "exact"
    """Low and high are certain."""
    SAMPLED = "sampled"
    """Low and high hold with 99 % confidence, from a stratified sample; only `certain_low` is certain."""


@dataclass(frozen=True, eq=False)
class LogSum:
    """Logarithm of a sum over the unlisted images, one value per query; unpacks as (low, estimate, high).

    Attributes:
        low: (q,) lower end; -inf where nothing is unlisted.
        estimate: (q,) best estimate. For exact bins it is Jensen's bound, equal to `low`; with a single bin that
            is the paper's top-R-plus-mean form.
        high: (q,) upper end.
        certain_low: (q,) a lower bound that is certain for either kind.
        kind: Whether low and high are certain ("exact") or hold with 99 % confidence ("sampled").
    """

    low: FloatArray
    estimate: FloatArray
    high: FloatArray
    certain_low: FloatArray
    kind: RestKind

    def __iter__(self) -> Iterator[FloatArray]:
        """Yield low, estimate and high."""
        return iter((self.low, self.estimate, self.high))


@dataclass(frozen=True, eq=False)
class Points:
    """Weighted similarities that represent all unlisted images of q queries, unordered.

    Attributes:
        value: (q, m) similarities.
        weight: (q, m) number of images each represents; a row sums to the number of unlisted images.
    """

    value: FloatArray
    weight: FloatArray


@dataclass(frozen=True, eq=False)
class Rest:
    """The unlisted training images of q queries, in b bins each.

    Attributes:
        count: (q, b) number of images in each bin; 0 marks an empty bin.
        mean: (q, b) their mean similarity.
        low: (q, b) lower bound of the similarities in the bin.
        high: (q, b) upper bound of the similarities in the bin.
        kind: "exact", or "sampled" for bins too wide for useful bounds (inverted-file cells).
        sample: (q, m) similarities of stored sample images, drawn evenly within their bins; "sampled" only. A bin
            without any is bounded by its mean and range.
        sample_bin: (m,) the bin of each sample image.

    Raises:
        InvalidInputError: Shapes differ, values are not finite, counts are negative, or a mean lies outside
            its range.
    """

    count: NDArray[np.int64]
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    kind: RestKind = RestKind.EXACT
    sample: FloatArray | None = None
    sample_bin: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Check the arrays against each other and store them as float64 and int64."""
        raw = float_matrix("count", self.count, np.float64)
        if (raw < 0).any() or (raw != np.floor(raw)).any():
            raise InvalidInputError(
                "count holds a negative or fractional number, expected integers from 0 up."
            )
        object.__setattr__(self, "count", raw.astype(np.int64))
        for name in ("mean", "low", "high"):
            part = float_matrix(name, getattr(self, name), np.float64)
            if part.shape != raw.shape:
                raise InvalidInputError(
                    f"{name} has shape {part.shape}, expected that of count, {raw.shape}."
                )
            object.__setattr__(self, name, part)
        outside = (raw > 0) & ((self.mean < self.low - _ROUNDING) | (self.mean > self.high + _ROUNDING))
        if outside.any():
            row, column = (int(i) for i in np.argwhere(outside)[0])
            raise InvalidInputError(
                f"the mean {self.mean[row, column]:.6g} of query {row}, bin {column} is outside its range "
                f"[{self.low[row, column]:.6g}, {self.high[row, column]:.6g}]."
            )
        object.__setattr__(self, "low", np.minimum(self.low, self.mean))
        object.__setattr__(self, "high", np.maximum(self.high, self.mean))
        object.__setattr__(self, "kind", RestKind(self.kind))
        self._check_sample()

    def _check_sample(self) -> None:
        if self.kind is RestKind.EXACT:
            if self.sample is not None or self.sample_bin is not None:
                raise InvalidInputError("an exact Rest takes no sample; use kind 'sampled'.")
            return
        if self.sample is None or self.sample_bin is None:
            raise InvalidInputError("a sampled Rest needs both sample (q, m) and sample_bin (m,).")
        sample = float_matrix("sample", self.sample, np.float64)
        owner = np.asarray(self.sample_bin)
        if owner.dtype.kind not in "iu" or owner.shape != (sample.shape[1],) or len(sample) != len(self):
            raise InvalidInputError(
                f"sample has shape {sample.shape} and sample_bin {owner.shape} of {owner.dtype}, expected "
                f"({len(self)}, m) and m integers."
            )
        bins = self.count.shape[1]
        if owner.size and (owner.min() < 0 or owner.max() >= bins):
            raise InvalidInputError(f"sample_bin holds a bin outside 0..{bins - 1}.")
        drawn = np.bincount(owner, minlength=bins)
        lacking = (self.count > drawn) & (drawn == 1)
        if lacking.any():
            row, column = (int(i) for i in np.argwhere(lacking)[0])
            raise InvalidInputError(
                f"bin {column} has {int(drawn[column])} sample images of {int(self.count[row, column])} images, "
                "expected none, at least 2, or all."
            )
        over = (self.count > 0) & (drawn > self.count)
        if over.any():
            row, column = (int(i) for i in np.argwhere(over)[0])
            raise InvalidInputError(f"bin {column} has more sample images than images in query {row}.")
        object.__setattr__(self, "sample", sample)
        object.__setattr__(self, "sample_bin", owner.astype(np.int64))

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.count)

    @property
    def total(self) -> NDArray[np.int64]:
        """(q,) number of unlisted images."""
        return np.asarray(self.count.sum(axis=1))

    @property
    def points(self) -> Points:
        """Weighted points for plots and counts: the sample if there is one, else the bins' means."""
        if self.sample is None or self.sample_bin is None:
            return Points(self.mean, self.count.astype(np.float64))
        drawn = np.bincount(self.sample_bin, minlength=self.count.shape[1])
        bare = drawn == 0
        return Points(
            np.hstack([self.mean[:, bare], self.sample]),
            np.hstack([self.count[:, bare], self.count[:, self.sample_bin] / drawn[self.sample_bin]]),
        )

    def of(self, query: int) -> Rest:
        """Return the rest of one query alone. query: from 0."""
        one = slice(query, query + 1)
        sample = None if self.sample is None else self.sample[one]
        return Rest(
            self.count[one], self.mean[one], self.low[one], self.high[one], self.kind, sample, self.sample_bin
        )

    def joined(self, similarity: ArrayLike) -> Rest:
        """Return the rest with more images added, each in its own bin. similarity: (q, n)."""
        more = float_matrix("similarity", similarity, np.float64)
        sample, owner = self.sample, self.sample_bin
        if sample is not None and owner is not None:
            sample = np.concatenate([sample, more], axis=1)
            owner = np.concatenate([owner, self.count.shape[1] + np.arange(more.shape[1])])
        count = np.concatenate([self.count, np.ones(more.shape, dtype=np.int64)], axis=1)
        mean, low, high = (np.concatenate([part, more], axis=1) for part in (self.mean, self.low, self.high))
        return Rest(count, mean, low, high, self.kind, sample, owner)

    @classmethod
    def from_mean(cls, count: ArrayLike, mean: ArrayLike, low: float = -1.0, high: ArrayLike = 1.0) -> Rest:
        """Make one bin per query from a count and a mean: the paper's top-R-plus-mean form.

        Args:
            count: () or (q,) number of unlisted images.
            mean: () or (q,) their mean similarity.
            low: Lower bound of the unlisted similarities; the default always holds for cosines.
            high: () or (q,) upper bound; the last listed similarity gives a tighter interval.
        """
        means = np.atleast_1d(np.asarray(mean, dtype=np.float64))
        if means.ndim != 1:
            raise InvalidInputError(f"mean has shape {means.shape}, expected one value per query.")
        try:
            counts, tops = (np.broadcast_to(np.asarray(part), means.shape) for part in (count, high))
        except ValueError as error:
            raise InvalidInputError(
                f"count or high does not match {means.size} queries ({error})."
            ) from error
        lows = np.full(means.shape, low)
        return cls(counts[:, None], means[:, None], lows[:, None], tops[:, None])

    @classmethod
    def from_similarities(cls, similarities: ArrayLike, bins: int = DEFAULT_BINS) -> Rest:
        """Make evenly spaced bins between the smallest and largest unlisted similarity of each query.

        Args:
            similarities: (q, n), or (n,) for one query; n = 0 means that nothing is unlisted.
            bins: Number of bins; at temperature t the interval's width shrinks with (range / bins / t) squared.
        """
        bins = whole("bins", bins, 1)
        array = np.asarray(similarities)
        rows = float_matrix("similarities", array[None, :] if array.ndim == 1 else array)
        table = np.zeros((4, len(rows), bins))
        for number, row in enumerate(rows):
            table[:, number] = _bin_row(row, bins)
        return cls(table[0].astype(np.int64), table[1], table[2], table[3])

    @classmethod
    def stack(cls, rests: Sequence[Rest]) -> Rest:
        """Make one of exact rests with equally many bins, query after query."""
        if not rests:
            empty = np.zeros((0, 0))
            return cls(empty.astype(np.int64), empty, empty, empty)
        return cls(
            count=np.concatenate([rest.count for rest in rests]),
            mean=np.concatenate([rest.mean for rest in rests]),
            low=np.concatenate([rest.low for rest in rests]),
            high=np.concatenate([rest.high for rest in rests]),
        )

    def beside(self, sampled: Rest) -> Rest:
        """Return the bins of this exact rest, then those of a sampled one of other images of the same queries."""
        assert sampled.sample_bin is not None
        return Rest(
            np.hstack([self.count, sampled.count]),
            np.hstack([self.mean, sampled.mean]),
            np.hstack([self.low, sampled.low]),
            np.hstack([self.high, sampled.high]),
            sampled.kind,
            sampled.sample,
            self.count.shape[1] + sampled.sample_bin,
        )

    @classmethod
    def from_cells(
        cls,
        count: ArrayLike,
        mean: ArrayLike,
        sample: ArrayLike,
        sample_cell: ArrayLike,
        low: ArrayLike = -1.0,
        high: ArrayLike = 1.0,
    ) -> Rest:
        """Make a bin, of kind "sampled", from each inverted-file cell that was not visited.

        Args:
            count: (q, c) images in each cell; 0 for a visited cell.
            mean: (q, c) the query's similarity to the cell's mean vector.
            sample: (q, m) the query's similarities to sample images, drawn evenly within each cell: at
                least 2 from every cell, or all its images.
            sample_cell: (m,) the cell of each sample image.
            low: Lower bound of all similarities, or (q, c) of each cell's.
            high: Upper bound of all similarities, or (q, c) of each cell's.
        """
        means = float_matrix("mean", mean, np.float64)
        return cls(
            np.asarray(count),
            means,
            np.minimum(low, means),
            np.maximum(high, means),
            RestKind.SAMPLED,
            np.asarray(sample),
            np.asarray(sample_cell),
        )

    def take(self, rows: ArrayLike) -> Rest:
        """Return the rest of the selected queries. rows: positions, a slice or a mask."""
        selection: Any = rows if isinstance(rows, slice) else np.atleast_1d(np.asarray(rows))
        sample = None if self.sample is None else self.sample[selection]
        parts = (self.count[selection], self.mean[selection], self.low[selection], self.high[selection])
        return Rest(*parts, self.kind, sample, self.sample_bin)

    def log_sum_exp(self, temperature: float) -> LogSum:
        """Bound the log of the sum of exp(similarity / temperature) over all unlisted images, (q,) each.

        Computed in logarithms, so that no temperature under- or overflows. Raises `InvalidInputError` if the
        temperature is not above 0.
        """
        t = positive("temperature", temperature)
        log_count = safe_log(self.count)
        least = log_count + self.mean / t
        weight = _chord_weight(self)
        most = np.logaddexp(_log1m(weight) + self.low / t, safe_log(weight) + self.high / t) + log_count
        return self._bounded(
            least, most, lambda s, peak: np.exp((s - peak[:, None]) / t), lambda peak: peak / t
        )

    def log_sum_convex(self, function: Callable[[FloatArray], FloatArray]) -> LogSum:
        """Bound the log of the sum of `function`(similarity) over all unlisted images, (q,) each.

        function: maps (q, m) similarities elementwise; must be convex and non-negative, which is not checked.
        """
        with np.errstate(over="ignore"):
            least = safe_log(self.count * function(self.mean))
            weight = _chord_weight(self)
            ends = (1.0 - weight) * function(self.low) + weight * function(self.high)
            most = safe_log(self.count * ends)
        return self._bounded(least, most, lambda s, peak: function(s), np.zeros_like)

    def _bounded(
        self,
        least: FloatArray,
        most: FloatArray,
        function: Callable[[FloatArray, FloatArray], FloatArray],
        shift: Callable[[FloatArray], FloatArray],
    ) -> LogSum:
        """Sum over bins. least, most: (q, b) logarithms of certain bounds of each bin's sum.

        function: of (q, m) similarities and (q,) the largest of the sample; exp(-shift(largest)) times what is summed.
        """
        certain_low = log_sum(least)
        certain_high = np.maximum(log_sum(most), certain_low)
        if self.sample is None or self.sample_bin is None:
            return LogSum(certain_low, certain_low, certain_high, certain_low, self.kind)
        sampled = np.bincount(self.sample_bin, minlength=self.count.shape[1]) > 0
        place = np.cumsum(sampled) - 1
        peak = np.max(self.sample, axis=1, initial=-1.0)
        strata = StratifiedSample(
            self.count[:, sampled],
            self.mean[:, sampled],
            self.low[:, sampled],
            self.high[:, sampled],
            self.sample,
            place[self.sample_bin],
        )
        sums = log_sampled_sum(strata, lambda s: function(s, peak), shift(peak))
        below, above = log_sum(least[:, ~sampled]), log_sum(most[:, ~sampled])
        low, estimate, high = (
            np.clip(np.logaddexp(one, other), certain_low, certain_high)
            for one, other in zip(sums, (below, below, above), strict=True)
        )
        return LogSum(low, estimate, high, certain_low, RestKind.SAMPLED)


def _log1m(values: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log1p(-values), dtype=np.float64)


def _chord_weight(rest: Rest) -> FloatArray:
    width = rest.high - rest.low
    weight = np.divide(rest.mean - rest.low, width, out=np.ones_like(width), where=width > 0)
    return np.asarray(np.clip(weight, 0.0, 1.0))


def _bin_row(row: NDArray[Any], bins: int) -> FloatArray:
    from attribution_core.retrieval.kernels import histogram  # scoring alone does without a compiler

    if row.size == 0:
        return np.zeros((4, bins))
    least, greatest = float(row.min()), float(row.max())
    width = (greatest - least) / bins
    if width > 0:
        count, total = histogram(row, least, width, bins)
    else:
        count, total = np.zeros(bins, np.int64), np.zeros(bins)
        count[0], total[0] = row.size, row.size * least
    edge = least + width * np.arange(bins + 1)
    # Rounding can put a value on an edge into either bin; widen the ends by far more than that.
    slack = 1e-9 * width + 4e-16
    low, high = np.maximum(edge[:-1] - slack, least), np.minimum(edge[1:] + slack, greatest)
    mean = np.divide(total, count, out=0.5 * (low + high), where=count > 0)
    return np.stack([count, np.clip(mean, low, high), low, high])
