"""The copy encoder's index and threshold, and where two images agree."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attribution_core.analyses.memorization.copies import (
    CopyIndex,
    copy_encoder,
    is_stored,
    threshold_of,
)
from attribution_core.analyses.memorization.occlusion import occlusion_maps
from attribution_core.collection.collection import Collection
from attribution_core.collection.options import COPY_ENCODER
from attribution_core.common.cards import write_card
from attribution_core.common.progress import Progress
from attribution_core.encoding.encoders import SHIPPED, load_encoder
from attribution_core.errors import (
    CheckpointError,
    CollectionMismatchError,
    InvalidInputError,
    UnknownNameError,
)
from attribution_core.mapping.pair import MapperPair
from attribution_core.retrieval.index import TrainingIndex
from tests.support.fakes import ENCODER, copying_collection, fake_collection, shape_image


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_threshold_is_read_from_the_report() -> None:
    told = json.loads((SHIPPED / "report.json").read_text())["encoders"]
    for name, figures in told.items():
        found = threshold_of(name)
        assert found is not None
        assert (found.value, found.recall) == (figures["copies"]["threshold"], figures["copies"]["recall"])
        # The report looks for the last place with 90 % precision; its curve keeps only some of the points.
        assert found.precision == pytest.approx(0.9, abs=0.02)


def test_precision_lies_on_the_line_between_two_points_of_the_curve(tmp_path: Path) -> None:
    copies = {"threshold": 0.8, "recall": 0.5, "curve": [[0.4, 1.0], [0.6, 0.8]]}
    (tmp_path / "r.json").write_text(
        json.dumps({"what": "by hand", "encoders": {"sscd": {"copies": copies}}})
    )
    found = threshold_of("sscd", tmp_path / "r.json")
    assert found is not None and (found.value, found.measured) == (0.8, "by hand")
    assert found.precision == pytest.approx(0.9)


def test_what_its_authors_say_stands_in_for_a_measurement(tmp_path: Path) -> None:
    found = threshold_of("sscd", tmp_path / "none.json")
    assert found is not None and found.recall is None and "Pizzi" in found.measured
    assert threshold_of("dino-vitb16", tmp_path / "none.json") is None


@pytest.mark.parametrize("text", ["no json", "[]", '{"encoders": {"sscd": {"copies": {"curve": []}}}}'])
def test_a_damaged_report_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"r\.json"):
        threshold_of("sscd", tmp_path / "r.json")


def test_search_is_what_numpy_says_stored_or_encoded(tmp_path: Path) -> None:
    stored = copying_collection(tmp_path / "stored")
    assert is_stored(stored)
    encoder = load_encoder(ENCODER)
    train = unit(encoder.encode([stored.corpus.image(i) for i in range(60)]))
    asked = [shape_image(7), shape_image(200)]
    expected = unit(encoder.encode(asked)) @ train.T

    # The same collection whose own method maps: nothing stored is raw, so all images are encoded.
    mapped = fake_collection(tmp_path / "mapped", 60)
    pair = MapperPair.identity(encoder.dim, ENCODER)
    pair.save(mapped.path / "mappers")
    card = json.loads((mapped.path / "mappers/card.json").read_text())
    write_card(mapped.path / "mappers", {**card, "kind": "other"})
    collection = Collection(
        mapped.name,
        mapped.path,
        mapped.corpus,
        ENCODER,
        pair,
        mapped.index,
        mapped.calibrator,
        {COPY_ENCODER: ENCODER},
    )
    assert not is_stored(collection)
    seen: list[Progress] = []
    for index in (
        CopyIndex.open(stored),
        CopyIndex.open(collection, on_progress=seen.append),
    ):
        for hits, row in zip(index.search(asked, 60), expected, strict=True):
            np.testing.assert_allclose(hits.similarity, np.sort(row)[::-1], atol=2e-3)
            assert hits.ids[0] == row.argmax()
    assert [(step.done, step.total) for step in seen] == [(60, 60)]


def test_top_is_cut_to_the_collection_and_checked(tmp_path: Path) -> None:
    index = CopyIndex.open(copying_collection(tmp_path, 24))
    assert len(index.search([shape_image(1)], 100)[0].ids) == len(index) == 24
    with pytest.raises(InvalidInputError, match="top"):
        index.search([shape_image(1)], 0)


def test_without_a_copy_encoder_it_says_how_to_name_one(tmp_path: Path) -> None:
    plain = fake_collection(tmp_path / "plain", 24)
    assert copy_encoder(plain) is None and not is_stored(plain)
    with pytest.raises(InvalidInputError, match=r'"copy_encoder": "pocket-sscd"'):
        CopyIndex.open(plain)
    write_card(plain.path, {**plain.card, COPY_ENCODER: "pocket-sccd"})
    with pytest.raises(UnknownNameError, match="pocket-sscd"):
        CopyIndex.open(Collection.open(plain.path))


def test_an_index_of_other_images_is_refused(tmp_path: Path) -> None:
    collection = copying_collection(tmp_path, 24)
    rows = np.eye(5, 768, dtype=np.float32)
    with pytest.raises(CollectionMismatchError, match="5 copy features for 24"):
        CopyIndex(collection, TrainingIndex.build(rows, "Flat", ENCODER))


def in_a_corner(part: Image.Image, ground: str, place: tuple[int, int]) -> Image.Image:
    canvas = Image.new("RGB", (64, 64), ground)
    canvas.paste(part.resize((28, 28)), place)
    return canvas


def test_the_likeness_lies_where_both_show_the_same() -> None:
    # The same thing in one corner of both, on one ground; only one of them has another thing elsewhere.
    thing, other = shape_image(17).crop((4, 4, 44, 44)), Image.new("RGB", (40, 40), "black")
    query = in_a_corner(thing, "white", (2, 2))
    match = query.copy()
    match.paste(other.resize((20, 20)), (42, 42))
    found = occlusion_maps(load_encoder(ENCODER), query, match)
    assert found.query.shape == found.match.shape == (8, 8)
    corner = np.unravel_index(found.query.argmax(), found.query.shape)
    assert max(corner) < 4
    # Covering what only the match shows makes both more alike.
    assert found.match[5:, 5:].min() < -0.02
    assert np.unravel_index(found.match.argmin(), found.match.shape) >= (5, 5)


def test_covering_is_what_it_says() -> None:
    encoder, query, match = load_encoder(ENCODER), shape_image(9), shape_image(17)
    found = occlusion_maps(encoder, query, match, cells=2)
    # With as many cells as a spot is wide there is one spot: the whole image.
    rows = unit(encoder.encode([query, match, Image.new("RGB", (64, 64), "white")]).astype(np.float64))
    np.testing.assert_allclose(found.query, np.full((2, 2), rows[0] @ rows[1] - rows[2] @ rows[1]), atol=1e-6)
    assert found.similarity == pytest.approx(rows[0] @ rows[1], abs=1e-6)


@pytest.mark.parametrize("cells", [1, 33, 4.0])
def test_a_bad_number_of_cells_is_refused(cells: object) -> None:
    with pytest.raises(InvalidInputError, match="cells"):
        occlusion_maps(load_encoder(ENCODER), shape_image(1), shape_image(2), cells)  # type: ignore[arg-type]
