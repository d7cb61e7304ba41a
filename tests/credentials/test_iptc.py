"""IPTC properties in the files that are written, and what is read of untrusted ones."""

from __future__ import annotations

import io
import warnings

import pytest
from PIL import Image

from attribution_core.common.images import jpeg_bytes, png_bytes, read_recipe, webp_bytes
from attribution_core.common.metadata import read_metadata
from attribution_core.common.xmp import MAX_READ, MAX_WRITTEN, packet
from attribution_core.credentials.c2pa import Manifest
from attribution_core.credentials.iptc import GENERATED, AiMetadata
from attribution_core.credentials.read import Credentials, read_credentials
from attribution_core.generation.generator import GeneratedImage
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.wording.credentials import credentials_words
from tests.support.fakes import shape_image
from tests.support.images import encoded

RECIPE = Recipe(
    "a cat & a <dog>, “blau” 猫", 3, 9, 2.5, "pocket/generator", "ab" * 32, "diffusers 1, torch 2"
)
DEEP = b"<a>" * 20_000 + b"</a>" * 20_000
ENTITIES = b'<!DOCTYPE a [<!ENTITY b "c">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&b;</x:xmpmeta>'


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_saved_picture_says_how_it_was_made(kind: str) -> None:
    data = GeneratedImage(shape_image(4), RECIPE).encode(kind, "Ada")
    assert read_credentials(data).ai == AiMetadata(
        GENERATED,
        "pocket/generator",
        "weights abababababab; diffusers 1, torch 2",
        RECIPE.prompt,
        "Ada",
    )
    assert Recipe.from_dict(read_recipe(data) or {}) == RECIPE
    with Image.open(io.BytesIO(data)) as image:
        raw = image.info["xmp"].decode()
    assert '"http://iptc.org/std/Iptc4xmpExt/2008-02-29/"' in raw
    assert f"<Iptc4xmpExt:DigitalSourceType>{GENERATED}</Iptc4xmpExt:DigitalSourceType>" in raw


def test_nobody_is_named_as_the_prompts_writer_unasked() -> None:
    data = GeneratedImage(shape_image(4), RECIPE).encode("png")
    assert b"AIPromptWriterName" not in data
    assert read_credentials(data).ai.prompt_writer == ""


@pytest.mark.parametrize("prompt", ["&" * 10_000, "猫" * 10_000, "a\x00\x08\ufffe\x1bb"])
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_any_prompt_fits_and_is_read_back(prompt: str, kind: str) -> None:
    data = GeneratedImage(shape_image(4), Recipe(prompt, 1)).encode(kind)
    expected = "a\ufffd\ufffd\ufffd\ufffdb" if prompt.startswith("a") else prompt
    assert read_credentials(data).ai.prompt == expected


@pytest.mark.parametrize(
    "xmp",
    [b"<x", DEEP, ENTITIES, b"\xff\xfe<\0", b"<a/>", b'<x:xmpmeta xmlns:x="adobe:ns:meta/">text</x:xmpmeta>'],
)
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_damaged_xmp_says_nothing_and_hides_nothing(xmp: bytes, kind: str) -> None:
    exif = Image.Exif()
    exif[315] = "Ada"
    data = encoded(shape_image(1), kind, xmp=xmp[:65_000], exif=exif)
    found = read_metadata(data)
    assert (found.properties, found.texts["Artist"]) == ({}, "Ada")


def test_xmp_beyond_the_limit_is_not_parsed() -> None:
    long = packet({"plus:DataMining": "DMI-PROHIBITED"}) + b" " * MAX_READ
    assert read_metadata(encoded(shape_image(1), "WEBP", xmp=long)).properties == {}
    assert read_metadata(encoded(shape_image(1), "WEBP", xmp=long[:-1000])).properties != {}


@pytest.mark.parametrize("write", [png_bytes, jpeg_bytes, webp_bytes])
def test_a_packet_that_is_too_long_is_left_out(write: object) -> None:
    kept = AiMetadata(prompt="x").xmp() + b" " * (MAX_WRITTEN - len(AiMetadata(prompt="x").xmp()))
    assert read_metadata(write(shape_image(1), xmp=kept)).xmp == kept  # type: ignore[operator]
    assert read_metadata(write(shape_image(1), xmp=kept + b" ")).xmp == b""  # type: ignore[operator]


@pytest.mark.parametrize(
    ("source_type", "said"),
    [
        (GENERATED, "made by a trained model"),
        (GENERATED.replace("http:", "https:") + "/", "made by a trained model"),
        ("compositeSynthetic", "composed with a generated picture"),
        ("http://cv.iptc.org/newscodes/digitalsourcetype/negativeFilm", "negativeFilm"),
        (
            "http://x.example/<script>alert(1)</script>",
            "unknown term “http://x.example/?script?alert?1??/scrip…”",
        ),
        (
            "http://cv.iptc.org/newscodes/digitalsourcetype/\u202edeniart",
            "unknown term “http://cv.iptc.org/newscodes/digitalsour…”",
        ),
        (
            "http://evil.example/trainedAlgorithmicMedia",
            "unknown term “http://evil.example/trainedAlgorithmicMe…”",
        ),
    ],
)
def test_only_terms_of_the_vocabulary_are_shown_as_such(source_type: str, said: str) -> None:
    found = Credentials(AiMetadata(source_type), manifest=Manifest("valid", source_types=(source_type,)))
    told = dict(credentials_words(found))
    assert (told["How it was made"], told["How it was made, as signed"]) == (said, said)


def test_a_file_that_is_no_image_has_no_metadata() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data in (b"", b"junk", png_bytes(shape_image(1))[:60]):
            assert not read_credentials(data)
