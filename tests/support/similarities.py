"""Made-up similarities, and what a search would hand out of them."""

import numpy as np

from attribution_core.retrieval.hits import Hits
from attribution_core.retrieval.rest import Rest

SLACK = 1e-9


def softmax(values, t):
    scaled = np.asarray(values, dtype=np.float64) / t
    weight = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return weight / weight.sum(axis=-1, keepdims=True)


def ranked(n=1000, q=1, seed=0, spread=0.1):
    values = np.random.default_rng(seed).normal(0.1, spread, (q, n)).astype(np.float32)
    return -np.sort(-np.clip(values, -1, 1), axis=1)


def hits_of(values, top, bins=4096):
    ids = np.tile(np.arange(top), (len(values), 1))
    return Hits(ids, values[:, :top], Rest.from_similarities(values[:, top:], bins))


def released(values, t, bias):
    weight = np.maximum(np.exp((values - values.max(axis=1, keepdims=True)) / t) + bias * 0.001, 0)
    return weight / weight.sum(axis=1, keepdims=True)
