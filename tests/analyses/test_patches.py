"""Weights of training images by patches, compared with loops and worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from attribution_core.analyses import patches
from attribution_core.analyses.patches import SIDE, PatchAttributor, patch_weights
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import InvalidInputError
from tests.support.fakes import fake_collection

RNG = np.random.default_rng(0)


def by_loops(image: np.ndarray, training: np.ndarray, noise: float, size: int) -> np.ndarray:
    n, h, w, _ = training.shape
    weights, half = np.empty((n, h, w)), size // 2
    for i in range(h):
        for j in range(w):
            rows, columns = slice(max(i - half, 0), i + half + 1), slice(max(j - half, 0), j + half + 1)
            here = image[rows, columns]
            part = here.shape[0] * here.shape[1] / size**2
            apart = np.array([np.square(one[rows, columns] - here).sum() / part for one in training])
            weight = np.exp(-(apart - apart.min()) / (2 * noise**2))
            weights[:, i, j] = weight / weight.sum()
    return weights


@pytest.mark.parametrize("size", [1, 3, 7])
def test_weights_are_those_of_a_loop_over_windows(size: int) -> None:
    image, training = RNG.random((6, 5, 3), np.float32), RNG.random((4, 6, 5, 3), np.float32)
    found = patch_weights(image, training, 0.8, (size,))
    np.testing.assert_allclose(found, by_loops(image, training, 0.8, size), rtol=1e-4)


def test_sizes_are_averaged_and_weights_sum_to_one() -> None:
    image, training = RNG.random((8, 8, 3), np.float32), RNG.random((5, 8, 8, 3), np.float32)
    both = patch_weights(image, training, 0.5, (3, 7))
    apart = [patch_weights(image, training, 0.5, (size,)) for size in (3, 7)]
    np.testing.assert_allclose(both, np.mean(apart, axis=0), rtol=1e-5)
    np.testing.assert_allclose(both.sum(axis=0), 1, rtol=1e-5)


def test_each_half_of_a_collage_is_credited_to_its_source() -> None:
    left, right = RNG.random((2, 16, 16, 3), np.float32)
    others = RNG.random((3, 16, 16, 3), np.float32)
    image = np.concatenate([left[:, :8], right[:, 8:]], axis=1)
    weights = patch_weights(image, np.stack([left, right, *others]), 0.3, (3, 5))
    assert weights[0, :, :5].min() > 0.99 and weights[1, :, 11:].min() > 0.99


def test_images_of_another_shape_and_no_noise_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        patch_weights(np.zeros((4, 4, 3), np.float32), np.zeros((2, 5, 4, 3), np.float32), 1.0)
    with pytest.raises(ValueError, match="above 0"):
        patch_weights(np.zeros((4, 4, 3), np.float32), np.zeros((2, 4, 4, 3), np.float32), 0.0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return fake_collection(tmp_path_factory.mktemp("patches") / "shapes", 30).corpus


def test_a_training_image_itself_has_the_largest_weight_and_all_add_up_to_1(corpus: Corpus) -> None:
    attributor = PatchAttributor(corpus)
    result = attributor.attribute(corpus.image(11), 5)
    assert result.ids[0] == 11 and (np.diff(result.weight) <= 0).all()
    assert result.maps.shape == (5, SIDE, SIDE)
    np.testing.assert_allclose(result.maps.mean((1, 2)), result.weight, rtol=1e-5)
    whole = attributor.attribute(corpus.image(11), len(corpus))
    assert whole.weight.sum() == pytest.approx(1) and whole.others == pytest.approx(0, abs=1e-6)
    assert result.others == pytest.approx(whole.weight[5:].sum(), abs=1e-6)


def test_half_of_each_of_two_images_is_found_where_it_is(corpus: Corpus) -> None:
    left, right = (np.asarray(corpus.image(k).resize((64, 64))) for k in (3, 20))
    joined = Image.fromarray(np.concatenate([left[:, :32], right[:, 32:]], axis=1))
    result = PatchAttributor(corpus).attribute(joined, len(corpus))
    maps = {int(k): one for k, one in zip(result.ids, result.maps, strict=True)}
    assert maps[3][:, : SIDE // 2].mean() > 2 * maps[3][:, SIDE // 2 :].mean()
    assert maps[20][:, SIDE // 2 :].mean() > 2 * maps[20][:, : SIDE // 2].mean()


def test_too_many_training_images_and_no_count_are_refused(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInputError, match="top"):
        PatchAttributor(corpus).attribute(corpus.image(0), 0)
    monkeypatch.setattr(patches, "MOST", 29)
    with pytest.raises(InvalidInputError, match="29 training images at most"):
        PatchAttributor(corpus)
