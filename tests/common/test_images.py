"""Reading what people hand in: every common kind right, every bad kind refused with one sentence."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from attribution_core.common.images import RECIPE_KEY, Limits, png_bytes, read_image, read_recipe
from attribution_core.errors import InvalidImageError
from tests.support.images import bomb, encoded, of_frames, of_scans, save_png

RED = (200, 30, 40)


def solid(mode: str = "RGB", colour: object = RED, size: tuple[int, int] = (8, 4)) -> Image.Image:
    return Image.new(mode, size, colour)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (solid(), "PNG"),
        (solid(), "JPEG"),
        (solid(), "WEBP"),
        (solid(), "BMP"),
        (solid(), "TIFF"),
        (solid().convert("CMYK"), "JPEG"),
        (solid().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
        (solid().convert("P", palette=Image.Palette.ADAPTIVE), "GIF"),
        (solid("RGBA", (*RED, 255)), "PNG"),
    ],
)
def test_every_common_kind_shows_its_colour(image: Image.Image, kind: str) -> None:
    got = read_image(encoded(image, kind))
    assert (got.mode, got.size) == ("RGB", (8, 4))
    assert np.abs(np.asarray(got, int) - RED).max() <= 6


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to show it upright
    assert read_image(encoded(solid(), "JPEG", exif=exif)).size == (4, 8)


def test_sixteen_bit_grey_keeps_its_levels() -> None:
    ramp = Image.fromarray(np.linspace(0, 65535, 16).astype(np.uint16).reshape(1, 16))
    got = np.asarray(read_image(encoded(ramp, "PNG")))[0, :, 0].astype(int)
    assert np.abs(got - np.linspace(0, 255, 16)).max() <= 1


def test_a_dark_sixteen_bit_image_is_not_stretched() -> None:
    dark = Image.fromarray(np.full((4, 4), 200, dtype=np.uint16))
    assert np.asarray(read_image(encoded(dark, "PNG"))).max() <= 1


def test_transparency_is_laid_on_white() -> None:
    assert read_image(solid("RGBA", (*RED, 0))).getpixel((0, 0)) == (255, 255, 255)
    assert read_image(solid("LA", (0, 0))).getpixel((0, 0)) == (255, 255, 255)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [solid("RGB", c) for c in (RED, (0, 0, 255))]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.abs(np.asarray(read_image(data), int)[0, 0] - RED).max() <= 6


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty file"),
        (b"not an image at all", "cannot be read"),
        (encoded(solid(size=(64, 64)), "JPEG")[:300], "cannot be read"),
        (encoded(Image.effect_noise((64, 64), 50), "PNG")[:-900], "cannot be read"),
        (bomb(12_000), "12000 x 12000 pixels, more than the allowed 50 megapixels"),
        (bomb(30_000), "more pixels than the allowed 50 megapixels; make it smaller"),
    ],
    ids=["empty", "text", "cut jpeg", "cut png", "bomb", "larger bomb"],
)
def test_bad_files_are_refused_with_the_mend(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    for source in (data, path, str(path)):
        with pytest.raises(InvalidImageError, match=words):
            read_image(source)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(InvalidImageError, match="cannot be opened"):
            read_image(path)


@given(st.binary(max_size=400))
def test_random_bytes_never_raise_anything_else(data: bytes) -> None:
    try:
        assert read_image(data).mode == "RGB"
    except InvalidImageError as error:
        assert str(error).endswith(".")


@given(st.dictionaries(st.sampled_from(["prompt", "note"]), st.text(max_size=80)), st.integers(0, 2**31))
def test_recipes_survive_in_the_png(texts: dict[str, str], seed: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.png"
        recipe = {**texts, "seed": seed, "guidance": 3.5}
        save_png(solid(), path, recipe)
        assert read_recipe(path) == recipe
        assert [p.name for p in Path(folder).iterdir()] == ["made.png"]


def test_a_png_without_a_recipe_gives_none_and_text_is_an_error(tmp_path: Path) -> None:
    save_png(solid(), tmp_path / "plain.png")
    assert read_recipe(tmp_path / "plain.png") is None
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InvalidImageError, match="text.png"):
        read_recipe(tmp_path / "text.png")


def test_a_large_image_is_scaled_as_it_is_read_and_a_small_one_is_not() -> None:
    photograph = encoded(Image.effect_noise((3000, 2000), 60).convert("RGB"), "JPEG")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(solid(size=(3000, 2000)), "JPEG", exif=exif)
    assert read_image(photograph, largest=600).size == (600, 400)
    assert read_image(turned, largest=600).size == (400, 600)
    for mode in ("P", "LA", "I;16", "CMYK", "1"):
        kind = "TIFF" if mode == "CMYK" else "PNG"
        assert read_image(encoded(Image.new(mode, (90, 30)), kind), largest=60).size == (60, 20)
    assert read_image(photograph).size == (3000, 2000)
    given = solid(size=(90, 30))
    assert read_image(given, largest=60).size == (60, 20) and given.size == (90, 30)
    assert read_image(encoded(solid(), "PNG"), largest=60).tobytes() == solid().tobytes()


def test_notes_in_a_file_do_not_travel_with_its_pixels() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "secret " * 1000)
    got = read_image(encoded(solid(), "PNG", pnginfo=info))
    assert got.info == {} and len(png_bytes(got)) < 200


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (of_scans(101), "101 scans"),
        (encoded(solid(size=(1, 70_000)), "PNG"), "a side may have"),
        (encoded(solid(), "PPM"), "unknown format"),
        (encoded(solid(size=(64, 64)), "ICO"), "unknown format"),
        (encoded(solid(), "EPS"), "unknown format"),
        (encoded(solid(), "PDF"), "unknown format"),
    ],
    ids=["scans", "thin", "ppm", "ico", "eps", "pdf"],
)
def test_what_costs_too_much_or_is_no_photograph_is_refused_at_once(data: bytes, words: str) -> None:
    began = time.monotonic()
    with pytest.raises(InvalidImageError, match=words):
        read_image(data)
    assert time.monotonic() - began < 1


def test_decoding_ends_when_its_time_is_up() -> None:
    data = encoded(Image.effect_noise((3000, 3000), 90), "PNG")
    with pytest.raises(InvalidImageError, match=r"longer than 0\.01 seconds to decode"):
        read_image(data, Limits(seconds=0.01))


def test_frames_beyond_the_first_cost_nothing() -> None:
    data = of_frames(5000)
    began = time.monotonic()
    assert read_image(data).size == (8, 8)
    assert time.monotonic() - began < 0.5


def test_devices_and_pipes_are_refused_without_waiting_for_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in ("/dev/zero", "/dev/ptmx", tmp_path / "pipe.png"):
        with pytest.raises(InvalidImageError, match="not a regular file"):
            read_image(path)
        with pytest.raises(InvalidImageError, match="not a regular file"):
            read_recipe(path)
    (tmp_path / "large.png").write_bytes(b"\0" * 2_000_000)
    with pytest.raises(InvalidImageError, match="larger than 1 MB"):
        read_image(tmp_path / "large.png", Limits(file_bytes=1_000_000))


def test_a_recipe_that_fills_a_page_is_none() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt(RECIPE_KEY, '{"prompt": "' + "a" * 20_000 + '"}')
    assert read_recipe(encoded(solid(), "PNG", pnginfo=info)) is None
