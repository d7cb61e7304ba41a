"""The attribution of one image: another temperature, what stands out, JSON and CSV, shorter lists."""

import csv
import io
import json

import numpy as np
import pytest

from attribution_core.attribution.result import Attribution
from attribution_core.corpus.credit import Credit
from attribution_core.errors import InvalidInputError
from attribution_core.retrieval.hits import Hits
from attribution_core.retrieval.rest import Rest, RestKind
from attribution_core.retrieval.truncated import rest_of_truncated_search
from attribution_core.scoring.shares import Scale, Shares, shares_at
from tests.support.similarities import hits_of, ranked, released, softmax


def attribution(values, top=20, t=0.05, bins=4096, bias=None):
    hits = hits_of(np.atleast_2d(values), top, bins)
    credits = tuple(Credit(id=f"image-{i}", caption=f"caption {i}", creator='Zoë, "Z"') for i in range(top))
    return Attribution(hits, credits, Scale(t, bias), 0.05, "toy", "fake")


def test_another_temperature_needs_no_second_search():
    result = attribution(ranked(2000), t=0.05)
    moved = result.at_temperature(0.02)
    fresh = attribution(ranked(2000), t=0.02)
    for name in (
        "influence",
        "influence_low",
        "influence_high",
        "uncalibrated",
        "rest",
        "rest_low",
        "rest_high",
    ):
        assert getattr(moved, name) == pytest.approx(getattr(fresh, name), rel=1e-12)
    assert (moved.temperature, moved.fitted_temperature) == (0.02, 0.05)
    assert moved.at_temperature(0.05).influence == pytest.approx(result.influence)
    assert result.at_temperature(1.0).influence == pytest.approx(result.uncalibrated)
    with pytest.raises(InvalidInputError, match="temperature"):
        result.at_temperature(0)


def test_another_temperature_keeps_the_released_form():
    result = attribution(ranked(300).astype(np.float32), t=0.05, bias=-20.0)
    truth = released(ranked(300).astype(np.float64), 0.02, -20.0)[0, :20]
    assert result.at_temperature(0.02).influence == pytest.approx(truth, rel=1e-3)


@pytest.mark.parametrize("t", [0.01, 0.05, 1.0, 100.0])
def test_effective_number_is_exp_of_the_entropy(t):
    values = ranked(1500)
    share = softmax(values, t)[0]
    truth = np.exp(-np.sum(share * np.log(share, where=share > 0, out=np.zeros_like(share))))
    assert attribution(values, t=t).effective_number == pytest.approx(truth, rel=1e-3)


def test_effective_number_at_its_ends():
    assert attribution(np.full(400, 0.5, dtype=np.float32)).effective_number == pytest.approx(400)
    one = np.r_[np.float32(1.0), np.zeros(399, dtype=np.float32)]
    assert attribution(one, t=0.001).effective_number == pytest.approx(1.0)


def test_stands_out_for_one_close_image_and_not_for_many_or_none():
    crowd = ranked(2000, spread=0.05)[0]
    close = np.r_[np.float32(0.9), crowd[1:]]
    family = np.r_[np.full(30, 0.9, dtype=np.float32), crowd[30:]]
    assert attribution(close).stands_out
    assert not attribution(family).stands_out
    assert not attribution(crowd).stands_out
    assert not attribution(np.full(50, 0.9, dtype=np.float32)).stands_out
    assert not attribution(close, t=5.0).stands_out


def test_stands_out_rests_on_the_certain_end_and_not_on_how_many_are_listed():
    close = np.r_[np.float32(0.9), ranked(2000, spread=0.05)[0][1:]]
    assert [attribution(close, top=top).stands_out for top in (20, 50, 500)] == [True] * 3
    blurred = Attribution(
        Hits(np.arange(20)[None], close[None, :20], Rest.from_mean(1980, 0.1)),
        (Credit(),) * 20,
        Scale(0.05),
        0.05,
        "",
        "",
    )
    assert blurred.influence[0] > 0.5 and not blurred.stands_out


def test_stands_out_in_a_tiny_collection_needs_half():
    assert attribution([0.9, 0.1, 0.1], top=3, t=0.1).stands_out
    assert not attribution([0.9, 0.88, 0.1], top=3, t=0.1).stands_out
    assert not attribution([0.5, 0.5], top=1, t=0.1).stands_out


def test_json_has_the_contracts_keys_and_values():
    result = attribution(ranked(300), top=3)
    data = json.loads(result.to_json())
    assert list(data) == [
        "collection", "encoder", "n_training", "temperature", "rest", "rest_low", "rest_high", "made_by",
        "top",
    ]  # fmt: skip
    assert list(data["top"][0]) == [
        "rank", "id", "similarity", "influence", "low", "high", "uncalibrated",
        "caption", "creator", "source", "licence", "link", "opted_out",
    ]  # fmt: skip
    assert [row["rank"] for row in data["top"]] == [1, 2, 3]
    assert data["top"][1]["id"] == "image-1" and data["n_training"] == 300
    assert sum(row["influence"] for row in data["top"]) + data["rest"] == pytest.approx(1.0)
    assert data["rest_low"] <= data["rest"] <= data["rest_high"]
    assert "Zoë" in result.to_json()


def test_csv_survives_commas_and_quotes():
    result = attribution(ranked(300), top=3)
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert [row["creator"] for row in rows] == ['Zoë, "Z"'] * 3
    assert [float(row["influence"]) for row in rows] == pytest.approx(result.influence.tolist())
    assert list(rows[0]) == list(result.to_dict()["top"][0])


def test_attribution_refuses_what_does_not_add_up():
    hits = hits_of(ranked(50, 2), 5)
    facts = (Scale(0.1), 0.1, "", "")
    with pytest.raises(InvalidInputError, match="2 queries"):
        Attribution(hits, (Credit(),) * 5, *facts)
    with pytest.raises(InvalidInputError, match="5 images are listed, and 4 credits"):
        Attribution(hits_of(ranked(50), 5), (Credit(),) * 4, *facts)
    with pytest.raises(InvalidInputError, match="temperature"):
        Scale(0.0)
    good = attribution(ranked(50), top=5)
    assert (len(good), good.n_training, good.kind) == (5, 50, RestKind.EXACT)


def test_results_are_frozen_and_unknown_credits_are_empty():
    with pytest.raises(AttributeError):
        attribution(ranked(50)).rest = 0.0
    assert set(vars(Credit()).values()) == {"", 0}
    assert isinstance(shares_at([[0.1]], Rest.from_mean(1, 0.0), 1.0), Shares)


@pytest.mark.parametrize("top", [1, 5, 19])
def test_the_head_is_what_a_shorter_list_would_have_given(top):
    values = ranked(500)
    head, short = attribution(values, top=20).head(top), attribution(values, top=top)
    assert head.influence == pytest.approx(short.influence, rel=1e-6)
    assert head.uncalibrated == pytest.approx(short.uncalibrated, rel=1e-6)
    assert head.rest == pytest.approx(short.rest, rel=1e-6)
    assert head.rest_low <= short.rest_high and short.rest_low <= head.rest_high
    assert head.effective_number == pytest.approx(short.effective_number, rel=1e-3)
    assert (len(head), head.n_training, head.credits) == (top, 500, short.credits)
    again = head.at_temperature(0.2)
    assert again.influence.sum() + again.rest == pytest.approx(1.0, abs=1e-12)


def test_the_head_of_a_sampled_search_keeps_its_sum():
    values = ranked(60)
    cells = np.arange(40) % 4
    rest = values[:, 20:]
    means = np.array([[rest[0, cells == c].mean() for c in range(4)]])
    hits = Hits(np.arange(20)[None, :], values[:, :20], Rest.from_cells([[10] * 4], means, rest, cells))
    whole = Attribution(hits, tuple(Credit(id=str(i)) for i in range(20)), Scale(0.05), 0.05, "toy", "fake")
    head = whole.head(3)
    assert head.kind is RestKind.SAMPLED
    assert head.influence == pytest.approx(whole.influence[:3], rel=1e-9)
    assert head.rest == pytest.approx(whole.rest + whole.influence[3:].sum(), rel=1e-9)


def test_a_head_longer_than_the_list_is_the_list_and_an_empty_one_is_refused():
    whole = attribution(ranked(100), top=20)
    assert whole.head(20) is whole and whole.head(10**6) is whole
    with pytest.raises(InvalidInputError, match="top"):
        whole.head(0)


def test_a_sampled_rest_is_counted_by_its_sample():
    values = ranked(20_000)
    sample = np.random.default_rng(3).permutation(20_000)[:4000]
    beyond = values[:, 1000:].mean(axis=1, dtype=np.float64)
    rest = rest_of_truncated_search(
        values[:, :1000], 20, 19_000, beyond, values[:, sample], sample[None] >= 1000
    )
    full = attribution(values)
    found = Attribution(
        Hits(np.arange(20)[None], values[:, :20], rest), full.credits, Scale(0.05), 0.05, "toy", "fake"
    )
    assert found.kind is RestKind.SAMPLED and found.rank.tolist() == full.rank.tolist() == list(range(1, 21))
    for t in (0.02, 0.1):
        ours, right = found.at_temperature(t), full.at_temperature(t)
        assert ours.effective_number == pytest.approx(right.effective_number, rel=0.02)
        assert ours.influence == pytest.approx(right.influence, rel=0.02)
    points = found.rest_bins.points
    for edge in (0.0, 0.1, 0.2):
        there = points.weight[points.value > edge].sum()
        assert there == pytest.approx((values[0, 20:] > edge).sum(), abs=600)  # four standard errors
