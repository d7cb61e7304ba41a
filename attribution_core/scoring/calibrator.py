"""Calibration of similarities to influences that sum to 1, by a temperature fitted on add-one-in queries."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attribution_core.common.arrays import FloatArray, bool_matrix, float_matrix, positive
from attribution_core.common.cards import PartCard, load_part, write_card
from attribution_core.common.files import atomic_path
from attribution_core.common.tensors import read_tensors
from attribution_core.errors import (
    CheckpointError,
    InvalidInputError,
    NotFittedError,
)
from attribution_core.retrieval.hits import Hits
from attribution_core.retrieval.rest import Rest
from attribution_core.scoring.shares import Scale, Shares, shares_at

USUAL_TEMPERATURE = 0.09
"""To begin with where none was fitted: plain features of the bundled encoders got 0.084 to 0.094."""
_FILE = "calibrator.safetensors"
_GREATEST_BETA = 1e7
_SLOPE_TOLERANCE = 1e-9


class CalibratorCard(PartCard):
    """The card of a saved calibrator."""

    KIND = "a calibrator"


class Calibrator:
    """Softmax of similarity / temperature over all training images.

    Attributes:
        encoder: Name of the encoder whose similarities the temperature was fitted on.
        temperature_: The fitted temperature, above 0, in units of similarity.
        bias_: None, or the bias of the paper's released form (see `shares_at`).
    """

    temperature_: float
    bias_: float | None

    def __init__(self, encoder: str = "") -> None:
        """Store the encoder's name; nothing is fitted yet."""
        self.encoder = encoder

    def __repr__(self) -> str:
        """Return the encoder and the temperature."""
        fitted = f"temperature={self.temperature_:.6g}" if self.is_fitted else "not fitted"
        return f"Calibrator(encoder={self.encoder!r}, {fitted})"

    @property
    def is_fitted(self) -> bool:
        """Whether there is a temperature."""
        return hasattr(self, "temperature_")

    @classmethod
    def from_temperature(cls, temperature: float, encoder: str = "", bias: float | None = None) -> Calibrator:
        """Make a calibrator with a known temperature. Raises `InvalidInputError` if it is not above 0."""
        self = cls(encoder)
        self.temperature_ = positive("temperature", temperature)
        if bias is not None and not np.isfinite(bias):
            raise InvalidInputError(f"bias is {bias!r}, expected a finite number or None.")
        self.bias_ = None if bias is None else float(bias)
        return self

    def fit(self, similarity: ArrayLike, is_exemplar: ArrayLike, rest: Rest | None = None) -> Calibrator:
        """Fit the temperature by maximum likelihood of the exemplars; returns self.

        Minimises the mean over queries, and within a query over its exemplars, of -log softmax(similarity /
        temperature) over all candidates. In beta = 1 / temperature that is a log-sum-exp minus a linear
        term and hence convex: its slope increases, and the root is bracketed and solved for (Wang et
        al. 2023, section 4.3 and supplement, Eq. 1). `rest` enters through its estimate: the means of its bins.

        Args:
            similarity: (q, k) of candidates, in any order; every exemplar of a query must be among them.
            is_exemplar: (q, k) bool, at least one per row.
            rest: Candidates that are not among the k, or None if there are none.

        Raises:
            InvalidInputError: Shapes differ, values are not finite, or a query has no exemplar.
            NotFittedError: No temperature is optimal: exemplars are on average no closer than other
                candidates, or always the closest, so that the likelihood has no maximum.
        """
        from scipy.optimize import brentq  # slow to load, and only fitting needs it

        scores, marks, others = _checked(similarity, is_exemplar, rest)
        exemplar_mean = _exemplar_mean(scores, marks)
        nodes, weights = _nodes(scores, others)

        def slope(beta: float) -> float:
            with np.errstate(under="ignore"):
                mass = weights * np.exp(beta * (nodes - peak))
            return float(np.mean((mass * nodes).sum(axis=1) / mass.sum(axis=1) - exemplar_mean))

        used = weights > 0
        peak = np.max(np.where(used, nodes, -np.inf), axis=1, keepdims=True)
        nodes = np.where(used, nodes, peak)
        if slope(0.0) >= -_SLOPE_TOLERANCE:
            raise NotFittedError(
                "no temperature fits: exemplars are on average no more similar than the other candidates "
                f"(difference {-slope(0.0):.3g}); check the marks in is_exemplar, or use other features."
            )
        if float(np.mean(peak[:, 0] - exemplar_mean)) <= _SLOPE_TOLERANCE:
            raise NotFittedError(
                "no temperature fits: every exemplar is the most similar candidate of its query, so the "
                "likelihood grows as the temperature falls to 0; add harder queries or more candidates."
            )
        low, high = 0.0, 1.0
        while slope(high) < 0.0:
            low, high = high, 2.0 * high
            if high > _GREATEST_BETA:
                raise NotFittedError(
                    f"no temperature above {1 / _GREATEST_BETA:g} fits: exemplars are nearly always the most "
                    "similar candidates; add harder queries or more candidates."
                )
        beta, report = brentq(slope, low, high, xtol=1e-12, rtol=1e-13, full_output=True, disp=False)
        if not report.converged:
            raise NotFittedError(
                f"the search for the temperature stopped at {1 / beta:g} without converging."
            )
        self.temperature_ = 1.0 / float(beta)
        self.bias_ = None
        return self

    def nll(
        self,
        similarity: ArrayLike,
        is_exemplar: ArrayLike,
        rest: Rest | None = None,
        temperature: float | None = None,
    ) -> FloatArray:
        """Return each query's mean over its exemplars of -log influence, (q,) in nats.

        Args:
            similarity: (q, k), as for `fit`.
            is_exemplar: (q, k) bool.
            rest: As for `fit`.
            temperature: Use a plain softmax at this temperature instead of the fitted form; 1 is uncalibrated.

        Raises:
            InvalidInputError: As for `fit`.
            NotFittedError: The calibrator is not fitted and `temperature` is None.
        """
        scores, marks, others = _checked(similarity, is_exemplar, rest)
        t, bias = (self._temperature(None), self.bias_) if temperature is None else (temperature, None)
        if bias is None:
            t = positive("temperature", t)
            top = np.logaddexp.reduce(scores / t, axis=1)
            return np.asarray(
                np.logaddexp(top, others.log_sum_exp(t).estimate) - _exemplar_mean(scores, marks) / t
            )
        shares = shares_at(scores, others, t, bias)
        with np.errstate(divide="ignore"):
            return -_exemplar_mean(np.log(shares.influence), marks)

    def influence(self, hits: Hits, temperature: float | None = None) -> Shares:
        """Return the influences of `TrainingIndex.search` hits. Raises as `scale` does."""
        return self.scale(temperature).score(hits)

    def scale(self, temperature: float | None = None) -> Scale:
        """Return the scale that this calibrator scores with.

        Args:
            temperature: Replaces the fitted one.

        Raises:
            NotFittedError: The calibrator is not fitted and `temperature` is None.
            InvalidInputError: The temperature is not above 0.
        """
        return Scale(self._temperature(temperature), self.bias_ if self.is_fitted else None)

    def save(self, directory: str | os.PathLike[str], card: dict[str, Any] | None = None) -> None:
        """Write calibrator.safetensors and card.json into a folder.

        Args:
            directory: Created if missing.
            card: More entries for the card (data, seed, metrics); they cannot override those needed to load.

        Raises:
            NotFittedError: There is no temperature yet.
        """
        from safetensors.numpy import save_file

        values = {"temperature": np.asarray([self._temperature(None)], dtype=np.float64)}
        if self.bias_ is not None:
            values["bias"] = np.asarray([self.bias_], dtype=np.float64)
        folder = Path(directory)
        with atomic_path(folder / _FILE) as temporary:
            save_file(values, temporary)
        needed = {
            "what": "calibrator: similarities to influences",
            "encoder": self.encoder,
            "temperature": self.temperature_,
            "bias": self.bias_,
            "files": [_FILE],
        }
        write_card(folder, {**(card or {}), **needed})

    @classmethod
    def load(cls, directory: str | os.PathLike[str], encoder: str | None = None) -> Calibrator:
        """Read what `save` wrote.

        Raises:
            CheckpointError: Files are missing, damaged, or hold no temperature above 0.
            CollectionMismatchError: `encoder` is given and the calibrator belongs to another one.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(directory)
        card = load_part(folder, CalibratorCard, encoder)
        try:
            stored = load_file(folder / _FILE)
            bias = float(stored["bias"].item()) if "bias" in stored else None
            return cls.from_temperature(float(stored["temperature"].item()), card.encoder, bias)
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise CheckpointError(
                f"'{folder / _FILE}' cannot be used ({error}); fit and save again."
            ) from error

    @classmethod
    def from_release(cls, path: str | os.PathLike[str], encoder: str = "") -> Calibrator:
        """Read `weights/calibrator/*_tuned.pth` of the paper's release: {"inv_tau", "bias"}.

        Args:
            path: The file.
            encoder: Name of the encoder that the file belongs to; the file does not record it.

        Raises:
            CheckpointError: The file is missing, damaged, or holds other keys or values.
            MissingDependencyError: torch is not installed.
        """
        stored = read_tensors(path)
        try:
            inverse, bias = (float(stored[name]) for name in ("inv_tau", "bias"))
            return cls.from_temperature(1.0 / positive("inv_tau", inverse), encoder, bias)
        except (KeyError, TypeError, IndexError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"'{path}' is not a released calibrator ({type(error).__name__}: {error}); expected 'inv_tau' "
                "above 0 and 'bias', one number each."
            ) from error

    def _temperature(self, override: float | None) -> float:
        if override is not None:
            return override
        if not self.is_fitted:
            raise NotFittedError(
                "this calibrator has no temperature; call `fit` or `load`, or pass temperature."
            )
        return self.temperature_


def _checked(
    similarity: ArrayLike, is_exemplar: ArrayLike, rest: Rest | None
) -> tuple[FloatArray, NDArray[np.bool_], Rest]:
    scores = float_matrix("similarity", similarity, np.float64)
    if 0 in scores.shape:
        raise InvalidInputError(
            f"similarity has shape {scores.shape}, expected at least one query and candidate."
        )
    marks = bool_matrix("is_exemplar", is_exemplar, scores.shape)
    lacking = np.flatnonzero(~marks.any(axis=1))
    if lacking.size:
        raise InvalidInputError(
            f"query {int(lacking[0])} has no exemplar (one of {lacking.size} such queries); add its exemplars' "
            "similarities to the columns, whatever their rank."
        )
    others = Rest.from_similarities(np.zeros((len(scores), 0)), bins=1) if rest is None else rest
    if len(others) != len(scores):
        raise InvalidInputError(f"similarity has {len(scores)} queries and the rest {len(others)}.")
    return scores, marks, others


def _exemplar_mean(values: FloatArray, marks: NDArray[np.bool_]) -> FloatArray:
    return np.asarray(np.where(marks, values, 0.0).sum(axis=1) / marks.sum(axis=1))


def _nodes(scores: FloatArray, rest: Rest) -> tuple[FloatArray, FloatArray]:
    """Return similarities (q, m) and the number of candidates each represents (q, m); they reproduce the estimate."""
    others = rest.points
    return (
        np.concatenate([scores, others.value], axis=1),
        np.concatenate([np.ones_like(scores), others.weight], axis=1),
    )
