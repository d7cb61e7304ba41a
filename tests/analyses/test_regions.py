"""Regions: boxes and masks cut out by hand, grids over a collection whose answer is known, and bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from attribution_core.analyses.regions import Box, attribute_region, boxed, grid, painted
from attribution_core.attribution.attributor import Attributor
from attribution_core.collection.collection import Collection
from attribution_core.common.images import border_colour
from attribution_core.errors import InvalidImageError, InvalidInputError
from attribution_core.figures.regions import COLOURS, grid_map
from tests.support.fakes import fake_collection, shape_image

WHOLE = Box(0, 0, 1, 1)


@pytest.fixture(scope="module")
def attributor(tmp_path_factory: pytest.TempPathFactory) -> Attributor:
    return Attributor(fake_collection(tmp_path_factory.mktemp("regions") / "shapes", n=60), device="cpu")


def quarters(*seeds: int) -> Image.Image:
    """Four shapes in the four quarters, in reading order."""
    image = Image.new("RGB", (128, 128), "white")
    for k, seed in enumerate(seeds):
        image.paste(shape_image(seed), (64 * (k % 2), 64 * (k // 2)))
    return image


def test_a_box_is_cut_out_to_the_pixel() -> None:
    image = quarters(1, 2, 3, 4)
    region = boxed(image, Box(0.5, 0, 1, 0.5))
    assert region.image.tobytes() == shape_image(2).tobytes()
    assert region.area == 0.25 and not region.painted
    assert Box.from_pixels(64, 0, 128, 64, (128, 128)) == region.box
    assert boxed(image, WHOLE).image.tobytes() == image.tobytes()


def test_what_is_no_square_is_filled_up_with_the_ground() -> None:
    image = Image.new("RGB", (20, 20), (10, 20, 30))
    image.paste((200, 0, 0), (0, 8, 20, 12))
    cut = np.asarray(boxed(image, Box.from_pixels(2, 8, 18, 12, (20, 20))).image)
    assert cut.shape == (16, 16, 3)
    assert (cut[6:10] == (200, 0, 0)).all()
    assert (cut[:6] == (10, 20, 30)).all() and (cut[10:] == (10, 20, 30)).all()


def test_a_painted_region_keeps_what_is_painted_and_nothing_else() -> None:
    image = Image.fromarray(np.full((10, 10, 3), 50, np.uint8))
    image.paste((255, 0, 0), (2, 2, 8, 8))
    mask = np.zeros((10, 10), bool)
    mask[3:7, 2:6] = True
    mask[3, 2] = False
    region = painted(image, mask)
    cut = np.asarray(region.image)
    assert cut.shape == (4, 4, 3)
    assert (cut[0, 0] == (50, 50, 50)).all()
    assert (cut.reshape(-1, 3)[1:] == (255, 0, 0)).all()
    assert region.area == pytest.approx(0.15) and region.painted
    assert region.box == Box(0.2, 0.3, 0.6, 0.7)


def test_a_mask_of_another_size_is_brought_to_the_image() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[32:, :32] = 255
    for one in (mask, Image.fromarray(mask)):
        assert painted(quarters(1, 2, 3, 4), one).image.tobytes() == shape_image(3).tobytes()


def test_the_ground_is_the_median_of_the_border() -> None:
    image = Image.new("RGB", (9, 9), (1, 2, 3))
    image.paste("red", (0, 0, 9, 1))
    image.paste("blue", (2, 2, 7, 7))
    assert border_colour(image) == (1, 2, 3)


@given(st.tuples(*[st.floats(0, 1)] * 4), st.integers(1, 300), st.integers(1, 300))
def test_any_box_lies_inside_any_image_in_whole_pixels(
    edges: tuple[float, ...], width: int, height: int
) -> None:
    (x0, x1), (y0, y1) = sorted(edges[:2]), sorted(edges[2:])
    if x0 == x1 or y0 == y1:
        with pytest.raises(InvalidInputError):
            Box(x0, y0, x1, y1)
        return
    left, top, right, bottom = Box(x0, y0, x1, y1).pixels((width, height))
    assert 0 <= left < right <= width and 0 <= top < bottom <= height


@pytest.mark.parametrize(
    "edges",
    [
        (0.5, 0, 0.5, 1),
        (0.6, 0, 0.5, 1),
        (0, -0.1, 1, 1),
        (0, 0, 1.01, 1),
        (float("nan"), 0, 1, 1),
        (0, 0, "1", 1),
        (0, 0, None, 1),
        (0, 0, True, 1),
    ],
)
def test_what_is_no_box_is_refused(edges: tuple[object, ...]) -> None:
    with pytest.raises(InvalidInputError, match="box"):
        Box(*edges)  # type: ignore[arg-type]


def test_what_is_no_mask_or_too_small_is_refused() -> None:
    image = shape_image(1)
    with pytest.raises(InvalidInputError, match="nothing is painted"):
        painted(image, np.zeros((64, 64), bool))
    with pytest.raises(InvalidInputError, match="1 x 1 pixels"):
        painted(image, np.eye(64) * (np.arange(64) == 5))
    for bad in (np.zeros((64, 64, 3)), np.zeros((0, 4)), np.array([["a"]])):
        with pytest.raises(InvalidInputError, match="rows and columns of numbers"):
            painted(image, bad)
    with pytest.raises(InvalidInputError, match="2 x 64 pixels"):
        boxed(image, Box(0, 0, 2 / 64, 1))
    with pytest.raises(InvalidInputError, match="width|size"):
        Box.from_pixels(0, 0, 1, 1, (0, 5))


def test_each_region_finds_its_own_image(attributor: Attributor) -> None:
    image = quarters(7, 12, 21, 38)
    for seed, box in ((7, Box(0, 0, 0.5, 0.5)), (12, Box(0.5, 0, 1, 0.5)), (38, Box(0.5, 0.5, 1, 1))):
        told = attribute_region(attributor, boxed(image, box), 5)
        assert told.ids[0] == seed
        assert np.array_equal(told.influence, attributor.attribute(shape_image(seed), 5).influence)
    mask = np.zeros((128, 128), bool)
    mask[64:, :64] = True
    assert attribute_region(attributor, painted(image, mask), 5).ids[0] == 21


def test_a_grid_names_whose_image_each_field_is_closest_to(
    attributor: Attributor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without surroundings the four fields are training images themselves: of Ben (7), Ada (12), Ada (21), Cleo (38).
    monkeypatch.setattr("attribution_core.analyses.regions.WIDENED", 1.0)
    image = quarters(7, 12, 21, 38)
    told = grid(attributor, image, "creator", 2)
    assert [cell.nearest for cell in told.cells] == [7, 12, 21, 38]
    assert [cell.name for cell in told.cells] == ["Ben", "Ada", "Ada", "Cleo"]
    assert [cell.similarity for cell in told.cells] == pytest.approx([1.0] * 4, abs=1e-5)
    assert [(p.name, p.cells, p.share) for p in told.parts] == [
        ("Ada", 2, 0.5),
        ("Ben", 1, 0.25),
        ("Cleo", 1, 0.25),
    ]
    assert [p.training_share for p in told.parts] == pytest.approx([1 / 3] * 3)
    assert told.captions[0] == "black circle, flat style" and told.blank == 0


def test_fields_tile_the_image_and_patches_overlap(attributor: Attributor) -> None:
    told = grid(attributor, quarters(7, 12, 21, 38), "creator", 4)
    assert sum(cell.box.area for cell in told.cells) == pytest.approx(1)
    for cell in told.cells:
        assert cell.patch.area == pytest.approx(4 * cell.box.area)
        assert cell.patch.x0 <= cell.box.x0 < cell.box.x1 <= cell.patch.x1
    assert told.cells[5].patch == Box(0.125, 0.125, 0.625, 0.625)
    assert sum(p.cells for p in told.parts) + told.blank == 16


def test_blank_fields_are_left_out_and_a_blank_image_has_no_parts(attributor: Attributor) -> None:
    half = Image.new("RGB", (128, 128), "white")
    half.paste(shape_image(7), (0, 0))
    told = grid(attributor, half, "style", 2)
    assert told.blank == 3 and told.cells[3].nearest == -1 and told.cells[3].name == ""
    assert [(p.name, p.share) for p in told.parts] == [("flat", 1.0)]
    empty = grid(attributor, Image.new("RGB", (64, 64), "white"), "creator", 3)
    assert empty.blank == 9 and empty.parts == ()
    assert len(grid_map(empty, Image.new("RGB", (64, 64), "white")).data) == 0


def test_a_grid_in_one_go_says_what_field_by_field_says(attributor: Attributor) -> None:
    image = quarters(3, 14, 27, 40)
    told = grid(attributor, image, "creator", 3)
    for cell in told.cells:
        if cell.nearest >= 0:
            alone = attribute_region(attributor, boxed(image, cell.patch), 1)
            assert (alone.ids[0], alone.similarity[0]) == (
                cell.nearest,
                pytest.approx(cell.similarity, abs=1e-5),
            )


def test_bad_grids_are_refused(attributor: Attributor) -> None:
    for cells in (0, 13, 2.0, True):
        with pytest.raises(InvalidInputError, match="cells"):
            grid(attributor, shape_image(1), "creator", cells)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="expected one of creator, source, licence, style"):
        grid(attributor, shape_image(1), "colour")
    with pytest.raises(InvalidImageError, match="3 x 3 pixels"):
        grid(attributor, Image.new("RGB", (3, 3)), "creator", 4)


def test_the_figure_has_a_letter_a_colour_and_a_share_for_every_name(attributor: Attributor) -> None:
    image = quarters(7, 12, 21, 38)
    told = grid(attributor, image, "creator", 4)
    figure = grid_map(told, image)
    assert [trace.name for trace in figure.data] == [
        f"{letter}: {part.name} ({part.cells})" for letter, part in zip("ABC", told.parts, strict=False)
    ]
    assert [len(trace.x) for trace in figure.data] == [part.cells for part in told.parts]
    assert [trace.marker.color for trace in figure.data] == list(COLOURS[: len(told.parts)])
    assert len(figure.layout.shapes) == 16 - told.blank
    assert "of the training set" in figure.data[0].hovertemplate
    named = grid_map(told, image, lambda name: f"icon set by {name}")
    assert named.data[0].name == f"A: icon set by {told.parts[0].name} ({told.parts[0].cells})"
    assert named.data[0].customdata[0][2] == f"icon set by {told.parts[0].name}"


def test_names_after_the_eighth_share_a_grey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attribution_core.analyses.regions.WIDENED", 1.0)
    from attribution_core.corpus.corpus import Corpus
    from attribution_core.encoding.encoders import load_encoder
    from tests.support.fakes import ENCODER, shape_rows

    rows = [row | {"creator": f"<b>Maker {i}</b>"} for i, row in enumerate(shape_rows(10))]
    Corpus.write(tmp_path / "corpus/train-core.parquet", rows)
    features = load_encoder(ENCODER).encode([shape_image(i) for i in range(10)])
    collection = Collection.create(tmp_path, name="Ten", encoder=ENCODER, features=features, factory="Flat")
    strip = Image.new("RGB", (256, 256), "white")
    for k in range(16):
        strip.paste(shape_image(k % 10), (64 * (k % 4), 64 * (k // 4)))
    told = grid(Attributor(collection, device="cpu"), strip, "creator", 4)
    assert len(told.parts) == 10
    assert sum(p.share for p in told.parts) == pytest.approx(1)
    figure = grid_map(told, strip)
    assert figure.data[-1].name.startswith("·: 2 others (")
    assert len(figure.data) == 9
    assert "&lt;b&gt;" in figure.data[0].name
