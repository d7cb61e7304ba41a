"""Influences summed by creator: against the full softmax, worked by hand, and with images left out."""

from __future__ import annotations

import csv
import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plotly.graph_objects import Figure

from attribution_core.attribution.attributor import Added, Attributor
from attribution_core.attribution.groups import Group, GroupBy, Groups, group
from attribution_core.collection.collection import Collection
from attribution_core.encoding.encoders import load_encoder
from attribution_core.errors import CollectionMismatchError, InvalidInputError
from attribution_core.figures.groups import COLOURS, REST, SMALL, group_map
from tests.support.fakes import ENCODER, fake_collection, shape_image

N = 60


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return fake_collection(tmp_path_factory.mktemp("groups") / "shapes", n=N, temperature=0.1)


@pytest.fixture(scope="module")
def attributor(collection):
    return Attributor(collection)


def softmax_of(collection: Collection, seed: int, kept: np.ndarray) -> np.ndarray:
    """Every candidate's exact share among those that are kept; 0 for the others."""
    encoder = load_encoder(ENCODER)
    rows = encoder.encode([collection.corpus.image(i) for i in range(N)]).astype(np.float64)
    query = encoder.encode([shape_image(seed)])[0].astype(np.float64)
    weight = np.exp(rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query) / 0.1) * kept
    return weight / weight.sum()


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(2000, 4000), top=st.integers(1, N), by=st.sampled_from(["creator", "licence", "style"])
)
def test_groups_and_the_rest_are_the_whole(collection, attributor, seed, top, by):
    result = attributor.attribute(shape_image(seed), top=top)
    told = group(result, collection.corpus, by)
    # Similarities are float32, so shares agree to some 1e-6.
    exact, names = softmax_of(collection, seed, np.ones(N)), np.array(collection.corpus.column(by))
    assert sum(g.influence for g in told.groups) + told.rest == pytest.approx(1, abs=1e-9)
    for g in told.groups:
        listed = [i for i in result.ids if names[i] == g.name]
        assert g.listed == len(listed) and g.images == (names == g.name).sum()
        assert g.low - 3e-6 <= exact[listed].sum() <= g.high + 3e-6
        assert g.share == pytest.approx(g.images / N) and g.lift == pytest.approx(g.influence / g.share)
    assert [g.influence for g in told.groups] == sorted((g.influence for g in told.groups), reverse=True)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(2000, 4000), top=st.integers(5, N))
def test_leaving_out_is_the_softmax_over_those_that_stay(collection, attributor, seed, top):
    result = attributor.attribute(shape_image(seed), top=top)
    told = group(result, collection.corpus)
    name = told.groups[0].name
    after = told.without([name])
    names = np.array(collection.corpus.column("creator"))
    listed = np.zeros(N, bool)
    listed[result.ids] = True
    exact = softmax_of(collection, seed, ~(listed & (names == name)))
    assert name not in {g.name for g in after.groups}
    assert sum(g.influence for g in after.groups) + after.rest == pytest.approx(1, abs=1e-9)
    for g in after.groups:
        assert g.low - 3e-6 <= exact[listed & (names == g.name)].sum() <= g.high + 3e-6
    assert after.rest_low - 3e-6 <= exact[~listed].sum() <= after.rest_high + 3e-6


def test_several_attributions_are_averaged(collection, attributor):
    results = [attributor.attribute(shape_image(seed), top=20) for seed in (1, 2, 3)]
    told, alone = group(results, collection.corpus), [group(r, collection.corpus) for r in results]
    for g in told.groups:
        each = [next((h.influence for h in a.groups if h.name == g.name), 0.0) for a in alone]
        assert g.influence == pytest.approx(np.mean(each))
    assert told.rest == pytest.approx(np.mean([r.rest for r in results]))
    assert sum(g.influence for g in told.groups) + told.rest == pytest.approx(1, abs=1e-9)


def test_the_table_says_all(collection, attributor):
    told = group(attributor.attribute(shape_image(5), top=10), collection.corpus)
    rows = list(csv.DictReader(io.StringIO(told.to_csv())))
    assert [r["creator"] for r in rows] == [*(g.name for g in told.groups), "everything else"]
    assert sum(float(r["influence"]) for r in rows) == pytest.approx(1)
    assert float(rows[0]["lift"]) == pytest.approx(told.groups[0].lift)


def test_bad_input_is_named(collection, attributor):
    result = attributor.attribute(shape_image(1), top=5)
    with pytest.raises(InvalidInputError, match="attribute an image first"):
        group([], collection.corpus)
    with pytest.raises(InvalidInputError, match="by is 'colour'"):
        group(result, collection.corpus, "colour")
    with pytest.raises(CollectionMismatchError, match="61 images"):
        group(attributor.attribute(shape_image(1), added=[Added(shape_image(2))]), collection.corpus)
    told = group(attributor.attribute(shape_image(1), top=N), collection.corpus)
    with pytest.raises(InvalidInputError, match="'Zoë' is none of the creators"):
        told.without(["Zoë"])
    nothing_else = dataclasses.replace(told, rest=0.0, rest_low=0.0, rest_high=0.0)
    with pytest.raises(InvalidInputError, match="nothing would be left"):
        nothing_else.without([g.name for g in told.groups])
    assert isinstance(told.without([]), Groups)


def contrast_with_white(colour: str) -> float:
    """WCAG 2's ratio."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


def test_the_map_holds_every_share_and_its_letters_can_be_read():
    shares = [
        Group("<b>Ada</b>", 0.5, 0.4, 0.6, 3, 1, 0.001, 3),
        Group("Ben", 0.18, 0.1, 0.3, 1, 900, 0.9, 1),
        Group("Cy", 0.02, 0.0, 0.1, 1, 9, 0.09, 1),
    ]
    figure = group_map(Groups(GroupBy.CREATOR, tuple(shares), 0.3, 0.2, 0.4, 1000))
    field = Figure(figure.to_dict()).data[0]  # Plotly looks at every value here
    assert list(field.labels) == ["&lt;b&gt;Ada&lt;/b&gt;", "Ben", "1 more", "not listed"]
    assert list(field["values"]) == [0.5, 0.18, 0.02, 0.3], "what is too small for its name is one tile"
    assert field.customdata[0] == "3 listed of 1; 500.0 times an even share"
    assert len(set(field.marker.colors)) == 4
    assert all(contrast_with_white(colour) >= 4.5 for colour in {*COLOURS, SMALL, REST})
