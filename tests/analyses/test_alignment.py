"""Laying one image over another: what was done to it is found again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from attribution_core.analyses.memorization.alignment import align
from attribution_core.common.images import border_colour
from attribution_core.errors import InvalidInputError
from attribution_core.reports.wording.verdict import alignment_words


def drawing(size: int = 64) -> Image.Image:
    """Nothing in it is symmetric."""
    image = Image.new("RGB", (size, size), "white")
    draw, unit = ImageDraw.Draw(image), size / 64
    draw.rectangle([int(v * unit) for v in (18, 16, 40, 28)], fill="red")
    draw.ellipse([int(v * unit) for v in (20, 26, 34, 44)], fill="blue")
    draw.line([int(v * unit) for v in (40, 20, 46, 46)], fill="black", width=max(1, int(3 * unit)))
    return image


def moved(image: Image.Image, scale: float, left: int, top: int) -> Image.Image:
    canvas, side = Image.new("RGB", image.size, "white"), round(image.width * scale)
    canvas.paste(image.resize((side, side), Image.Resampling.BICUBIC), (left, top))
    return canvas


def test_the_same_image_is_laid_over_as_it_is() -> None:
    found = align(drawing(), drawing())
    assert not found.moved and alignment_words(found) == "laid over as it is"
    assert found.rms == found.rms_before == 0 and not found.difference.any()
    assert found.aligned.tobytes() == drawing().tobytes()


def test_a_mirrored_one_is_mirrored_back() -> None:
    found = align(ImageOps.mirror(drawing()), drawing())
    assert found.flipped and alignment_words(found) == "mirrored"
    assert found.rms == pytest.approx(0, abs=1e-6) and found.rms_before > 30


@settings(max_examples=25, deadline=None)
@given(st.integers(-12, 12), st.integers(-12, 12), st.booleans())
def test_any_whole_shift_is_found(right: int, down: int, flipped: bool) -> None:
    source = drawing()
    query = moved(ImageOps.mirror(source) if flipped else source, 1.0, right, down)
    found = align(query, source)
    assert found.rms == pytest.approx(0, abs=1e-6)
    assert (found.flipped, found.scale) == (flipped, 1.0)
    assert found.right == pytest.approx(right / 64) and found.down == pytest.approx(down / 64)


@pytest.mark.parametrize("scale", [0.6, 0.75, 1.25])
def test_a_scale_is_found(scale: float) -> None:
    query = moved(drawing(), scale, 5, 9) if scale < 1 else moved(drawing(), scale, -8, -8)
    found = align(query, drawing())
    assert found.scale == pytest.approx(scale, abs=0.03)
    assert found.rms < 6 < found.rms_before
    assert f"scaled to {found.scale:.0%}" in alignment_words(found)


def test_the_aligned_image_has_the_querys_size_and_differs_where_the_map_says() -> None:
    query = drawing(128)
    ImageDraw.Draw(query).rectangle([0, 96, 31, 127], fill="lime")
    found = align(query, drawing(96))
    assert found.aligned.size == (128, 128) and found.difference.shape == (64, 64)
    spot, rest = found.difference[50:62, 2:14], found.difference[:44, 20:]
    assert spot.min() > 100 > 20 > np.median(rest)


def test_a_large_image_is_laid_at_a_size_that_fits_into_memory() -> None:
    found = align(drawing(64).resize((2400, 2400)), drawing())
    assert found.aligned.size == (1024, 1024) and found.rms < 20


def test_of_two_unlike_images_it_never_makes_matters_worse() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    found = align(noise, drawing())
    assert found.rms <= found.rms_before


def test_the_background_is_the_median_of_the_rim() -> None:
    image = Image.new("RGB", (20, 20), (10, 200, 30))
    image.putpixel((0, 0), (255, 0, 0))
    ImageDraw.Draw(image).rectangle([3, 3, 16, 16], fill="black")
    assert tuple(border_colour(image)) == (10, 200, 30)


@pytest.mark.parametrize("side", [15, 257, 64.0, True])
def test_a_bad_side_is_refused(side: object) -> None:
    with pytest.raises(InvalidInputError, match="side"):
        align(drawing(), drawing(), side)  # type: ignore[arg-type]
