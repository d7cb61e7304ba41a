"""Colours are those that a viewer shows, whatever profile and mode an image comes in."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw

from attribution_core.attribution.attributor import Attributor
from attribution_core.collection.build import build_collection
from attribution_core.common.images import read_image
from attribution_core.errors import InvalidImageError
from tests.support.profiles import DISPLAY_P3, INKS, SWAPPED, grey, press, srgb, with_primaries


def drawing() -> Image.Image:
    image = Image.new("RGB", (48, 48), (250, 40, 30))
    ImageDraw.Draw(image).ellipse([10, 10, 35, 35], fill=(20, 200, 60))
    return image


def encoded(image: Image.Image, kind: str = "PNG", **more: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


def in_profile(image: Image.Image, profile: bytes) -> Image.Image:
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    made = ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), opened, outputMode="RGB")
    assert made is not None
    return made


def off(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, int) - np.asarray(other, int)).mean())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_a_profile_is_applied_whatever_the_format(kind: str) -> None:
    profile = with_primaries(DISPLAY_P3)
    data = encoded(in_profile(drawing(), profile), kind, icc_profile=profile)
    got = read_image(data)
    assert got.mode == "RGB" and "icc_profile" not in got.info
    assert off(got, drawing()) < (2 if kind in ("PNG", "TIFF") else 12)
    assert off(Image.open(io.BytesIO(data)).convert("RGB"), drawing()) > 5


def test_transparency_and_palettes_keep_their_profile() -> None:
    profile = with_primaries(SWAPPED)
    clear = in_profile(drawing(), profile).convert("RGBA")
    clear.putalpha(Image.new("L", clear.size, 255))
    clear.putpixel((0, 0), (0, 0, 0, 0))
    got = read_image(encoded(clear, icc_profile=profile))
    assert got.getpixel((0, 0)) == (255, 255, 255)
    assert off(got, drawing()) < 3
    palette = in_profile(drawing(), profile).quantize(8)
    assert off(read_image(encoded(palette, icc_profile=profile)), drawing()) < 3


def test_grey_pixels_have_their_own_profiles() -> None:
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    linear = np.asarray(read_image(encoded(ramp, icc_profile=grey(1.0))))[0, :, 0].astype(int)
    assert linear[55] == pytest.approx(128, abs=3) and linear[0] == 0 and linear[255] == 255
    deep = Image.fromarray((np.arange(256) * 257).astype(np.uint16)[None])
    assert np.abs(np.asarray(read_image(encoded(deep, icc_profile=grey(1.0))))[0, :, 0] - linear).max() <= 1


def shown(linear: np.ndarray) -> np.ndarray:
    """(3,) levels of sRGB for light in 0 to 1, by the standard's formula."""
    light = np.clip(linear, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def of_lab(lab: tuple[int, int, int]) -> np.ndarray:
    """sRGB of a CIELAB colour under D50, by hand; the matrix is Bruce Lindbloom's, adapted by Bradford."""
    y = (lab[0] + 16) / 116
    f = np.array([y + lab[1] / 500, y, y - lab[2] / 200])
    xyz = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2) * (0.96422, 1, 0.82521)
    to_linear = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    return shown(to_linear @ xyz)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
@pytest.mark.parametrize("ink", range(5))
def test_ink_on_paper_is_shown_as_its_profile_says(ink: int, kind: str) -> None:
    amounts = tuple(255 if ink == number else 0 for number in range(4))
    lab = [*INKS.values(), (100, 0, 0)][ink]
    sheet = Image.new("CMYK", (16, 16), amounts)
    got = read_image(encoded(sheet, kind, icc_profile=press()))
    assert got.mode == "RGB" and "icc_profile" not in got.info
    assert np.asarray(got)[8, 8] == pytest.approx(of_lab(lab), abs=2)


def test_half_of_the_black_ink_is_the_grey_of_half_the_lightness() -> None:
    # 128 of 255 leaves L* = 49.8; Y = ((49.8 + 16) / 116)^3 = 0.1825, which sRGB writes as 118.
    sheet = Image.new("CMYK", (4, 4), (0, 0, 0, 128))
    got = read_image(encoded(sheet, "TIFF", icc_profile=press()))
    assert got.getpixel((0, 0)) == pytest.approx((118, 118, 118), abs=1)


@pytest.mark.parametrize(
    "profile", [press()[:200], press()[:128] + bytes(len(press()) - 128), b"no profile", srgb(), grey(1.8)]
)
def test_ink_without_a_profile_that_fits_is_shown_plainly(profile: bytes) -> None:
    sheet = Image.new("CMYK", (4, 4), (200, 10, 60, 30))
    assert off(read_image(encoded(sheet, "TIFF", icc_profile=profile)), sheet.convert("RGB")) == 0


def test_a_wide_colour_is_where_the_matrix_of_display_p3_puts_it() -> None:
    pixel = np.array([180, 120, 90])
    light = ((pixel / 255 + 0.055) / 1.055) ** 2.4
    to_srgb = [[1.22494, -0.22494, 0], [-0.042057, 1.042057, 0], [-0.019638, -0.078636, 1.098274]]
    wide = Image.new("RGB", (4, 4), tuple(pixel))
    got = np.asarray(read_image(encoded(wide, icc_profile=with_primaries(DISPLAY_P3))))[0, 0]
    assert got == pytest.approx(shown(to_srgb @ light), abs=1)
    assert np.abs(got - pixel).max() > 5


@given(pixel=st.tuples(*3 * [st.integers(0, 255)]), primaries=st.sampled_from([DISPLAY_P3, SWAPPED]))
def test_any_colour_is_what_littlecms_makes_of_it(
    pixel: tuple[int, int, int], primaries: dict[bytes, tuple[float, float, float]]
) -> None:
    profile = with_primaries(primaries)
    image = Image.new("RGB", (2, 2), pixel)
    peer = ImageCms.profileToProfile(
        image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    )
    assert peer is not None
    assert read_image(encoded(image, icc_profile=profile)).getpixel((0, 0)) == peer.getpixel((0, 0))


@pytest.mark.parametrize(("gamma", "level"), [(1.0, 188), (1.8, 147), (2.2, 128)])
def test_half_grey_of_a_gamma(gamma: float, level: int) -> None:
    # (128 / 255)^gamma is 0.502, 0.289 and 0.2195 of the light, which sRGB writes as these levels.
    half = Image.new("L", (4, 4), 128)
    assert read_image(encoded(half, icc_profile=grey(gamma))).getpixel((0, 0)) == pytest.approx(
        (level, level, level), abs=1
    )


@pytest.mark.parametrize("profile", [srgb(), b"no profile", srgb()[:300], grey(1.0), b""])
def test_srgb_and_what_does_not_fit_changes_no_pixel(profile: bytes) -> None:
    assert off(read_image(encoded(drawing(), icc_profile=profile)), drawing()) == 0


def test_lab_pixels_are_read() -> None:
    lab = ImageCms.profileToProfile(
        drawing(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert off(read_image(encoded(lab, "TIFF")), drawing()) < 3


@given(
    full=st.sampled_from([1.0, 255.0, 65535.0]),
    over=st.sampled_from([1.0, 1.004, 1.05]),
    odd=st.sampled_from([None, np.nan, np.inf, -np.inf, -5.0, 3.4e38, -9999.0]),
)
def test_floats_keep_their_levels(full: float, over: float, odd: float | None) -> None:
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    values = ramp * np.float32(full)
    values[0, -1] *= over
    if odd is not None:
        values[0, 0] = odd
    got = np.asarray(read_image(encoded(Image.fromarray(values), "TIFF")), int)[1:, :, 0]
    assert np.abs(got - np.round(ramp[1:] * 255)).max() <= 1


def test_whole_numbers_mean_what_they_say() -> None:
    stars = np.zeros((64, 64), np.int32)
    stars[0, 0], stars[1, 1] = 65535, 200
    got = np.asarray(read_image(encoded(Image.fromarray(stars), "TIFF")), int)[..., 0]
    assert (got[0, 0], got[1, 1]) == (255, 1)


def test_an_image_without_a_known_value_is_black() -> None:
    empty = Image.fromarray(np.full((4, 4), np.nan, np.float32))
    assert np.asarray(read_image(encoded(empty, "TIFF"))).max() == 0


def test_index_query_and_thumbnail_see_the_same_colours(tmp_path: Path) -> None:
    profile = with_primaries(DISPLAY_P3)
    folder = tmp_path / "p"
    folder.mkdir()
    drawing().save(folder / "srgb.png")
    in_profile(drawing(), profile).save(folder / "wide.png", icc_profile=profile)
    made = build_collection(folder, tmp_path / "out", encoder="rgb-thumbnail").collection
    assert made.card["near_duplicates"]["repeated"] == 1
    assert off(made.corpus.image(1), made.corpus.image(0)) < 3
    result = Attributor(made).attribute(folder / "wide.png", top=2, temperature=0.1)
    assert result.similarity.min() > 0.999


def test_a_heic_image_says_what_it_needs() -> None:
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        with pytest.raises(InvalidImageError, match=r"attribution-explorer\[heic\]"):
            read_image(b"\0\0\0\x18ftypheic" + b"\0" * 64)
