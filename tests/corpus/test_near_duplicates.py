"""Near-duplicates: hand-worked sets, a brute-force twin, and what must and must not be called one work."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from attribution_core.attribution.result import Attribution
from attribution_core.corpus.credit import Credit
from attribution_core.corpus.near_duplicates import FLATTEST, near_duplicates, signature
from attribution_core.errors import InvalidInputError
from attribution_core.reports.wording.attribution import near_duplicates_words, place_in_work
from attribution_core.retrieval.hits import Hits
from attribution_core.retrieval.rest import Rest
from attribution_core.scoring.shares import Scale
from tests.support.fakes import shape_image


def grey(left: int, right: int) -> np.ndarray:
    """The left half in one grey, the right in another: its contrast is half of what they differ by."""
    pixels = np.full((16, 16, 3), left, np.uint8)
    pixels[:, 8:] = right
    return pixels.reshape(-1)


def test_sets_as_worked_by_hand() -> None:
    # Contrasts 50, 51, 51.5, 50; of the first two 1 differs in each half: 1 <= 0.02 * 51, a pair.
    # The third differs from the first by (1.5, 1.5), which is more than 0.02 * 51.5 = 1.03; from the second by (0, 1):
    # root mean square 0.71, but that one leads no set. The fourth is as the first, but 40 brighter.
    rows = np.stack([grey(50, 150), grey(49, 151), grey(49, 152), grey(90, 190)])
    assert near_duplicates(rows, 0.02).sets == ((0, 1),)
    assert near_duplicates(rows, 0.04).sets == ((0, 1, 2),)
    assert near_duplicates(rows, 0.0).sets == ()
    both = near_duplicates(np.concatenate([rows, rows[2:]]), 0.0)
    assert both.sets == ((2, 4), (3, 5)) and both.images == 2


def twin(rows: np.ndarray, threshold: float) -> tuple[tuple[int, ...], ...]:
    """Every pair compared in float64."""
    flat = rows.reshape(len(rows), 256, 3).astype(np.float64)
    contrast = np.maximum(np.sqrt(((flat - flat.mean(1, keepdims=True)) ** 2).mean((1, 2))), FLATTEST)
    order = sorted(range(len(rows)), key=lambda i: (np.float32(contrast[i]), i))
    leaders: dict[int, list[int]] = {}
    for j in order:
        lead = next(
            (i for i in leaders if np.sqrt(((flat[i] - flat[j]) ** 2).mean()) <= threshold * contrast[j]), j
        )
        leaders.setdefault(lead, []).append(j)
    return tuple(sorted(tuple(sorted(m)) for m in leaders.values() if len(m) > 1))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), threshold=st.sampled_from([0.02, 0.1, 0.3, 0.5]), flat=st.booleans())
def test_it_groups_as_comparing_every_pair_does(seed: int, threshold: float, flat: bool) -> None:
    rng = np.random.default_rng(seed)
    base = rng.integers(100, 104 if flat else 200, (30, 768)).astype(float)
    every = np.concatenate(
        [base, base[rng.integers(0, 30, 60)] + rng.normal(0, 2 if flat else 12, (60, 768))]
    )
    rows = np.clip(every.round(), 0, 255).astype(np.uint8)[rng.permutation(90)]
    assert near_duplicates(rows, threshold).sets == twin(rows, threshold)


def test_more_than_a_block_of_images_is_grouped_alike() -> None:
    rng = np.random.default_rng(3)
    base = rng.integers(0, 256, (700, 768))
    rows = np.clip(np.concatenate([base, base + rng.integers(-3, 4, base.shape)]), 0, 255).astype(np.uint8)
    found = near_duplicates(rows)
    assert found.sets == tuple((i, i + 700) for i in range(700))


def test_other_encodings_are_one_work_and_other_drawings_are_not() -> None:
    jpeg = io.BytesIO()
    shape_image(5, 128).save(jpeg, "JPEG", quality=80)
    again = Image.open(jpeg).convert("RGB")
    images = [
        shape_image(5, 128),
        again.resize((96, 96)),
        shape_image(5, 128).rotate(90),
        shape_image(13, 128),
    ]
    recoloured = shape_image(5, 128).convert("L").convert("RGB")
    assert near_duplicates([signature(i) for i in [*images, recoloured]]).sets == ((0, 1),)


@pytest.mark.parametrize("threshold", [-0.1, 0.6, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(InvalidInputError, match="expected 0 to 0.5"):
        near_duplicates([signature(shape_image(1))], threshold)


def attribution() -> Attribution:
    credits = (
        Credit("a", creator="Ada", work="a"),
        Credit("b", creator="Ben"),
        Credit("c", creator="Cleo", work="a"),
        Credit("d", creator="Ada", work="a"),
    )
    hits = Hits(
        np.arange(4)[None],
        np.array([[0.9, 0.8, 0.7, 0.6]], np.float32),
        Rest.from_similarities(np.array([0.1, 0.0], np.float32), 2),
    )
    return Attribution(hits, credits, Scale(0.5), 0.5, "x", "y")


def test_listed_near_duplicates_are_one_entry_with_their_influence_summed() -> None:
    result = attribution()
    first, second = result.works
    assert (first.places, first.near_duplicates, first.creators) == ((0, 2, 3), 2, ("Ada", "Cleo", "Ada"))
    assert first.influence == pytest.approx(float(result.influence[[0, 2, 3]].sum()))
    assert first.low <= first.influence <= first.high
    assert (second.places, near_duplicates_words(second), place_in_work(second, 1)) == ((1,), "", "")
    assert near_duplicates_words(first) == "with 2 near-duplicates (also by Cleo)"
    assert place_in_work(first, 0).startswith("with 2 near-duplicates (also by Cleo): ")
    assert place_in_work(first, 3) == "near-duplicate of rank 1, and one work with it"
    told = result.to_dict()["works"]
    assert [(t["ranks"], t["creators"]) for t in told] == [([1, 3, 4], ["Ada", "Cleo", "Ada"])]
    assert sum(w.influence for w in result.works) + result.rest == pytest.approx(1)


def test_without_near_duplicates_nothing_is_said_of_works() -> None:
    assert "works" not in attribution().head(2).to_dict()


def test_an_image_that_is_there_many_times_stands_out_as_one() -> None:
    similarity = np.array([[0.9] * 20 + [0.2] * 10], np.float32)
    rest = Rest.from_similarities(np.zeros(1, np.float32), 1)
    told = []
    for work in ("a", ""):
        credits = tuple(Credit(str(i), work=work if i < 20 else "") for i in range(30))
        told.append(
            Attribution(
                Hits(np.arange(30)[None], similarity, rest), credits, Scale(0.1), 0.1, "x", "y"
            ).stands_out
        )
    assert told == [True, False]
