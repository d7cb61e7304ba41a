"""Pairs of exemplars and made images whose mapping is known."""

import numpy as np

from attribution_core.mapping.fit import FeaturePairs

D = 8


def made_pairs(models=40, seed=0, views=2):
    """Made images are their exemplar, with its channels in another order and noise in half of them."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(models, D)).astype(np.float32)
    model = np.repeat(np.arange(models), views)
    synth = own[model][:, ::-1] + rng.normal(size=(len(model), D)) * np.array([0.05] * 4 + [2.0] * 4)
    return FeaturePairs(own, np.arange(models), synth.astype(np.float32), model)
