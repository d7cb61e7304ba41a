"""Opt-outs in the metadata of files: each standard's own form, and what only looks like one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, TiffImagePlugin, TiffTags
from PIL.PngImagePlugin import PngInfo

from attribution_core.common.images import jpeg_bytes, kind_of, png_bytes, webp_bytes
from attribution_core.common.xmp import MAX_READ, PNG_KEY, packet
from attribution_core.credentials.c2pa import MIMES
from attribution_core.credentials.opt_outs import declared_in, opt_out_in_cell
from attribution_core.generation.generator import GeneratedImage
from attribution_core.generation.recipe import Recipe
from tests.support.certificates import Issued, issue, with_assertions
from tests.support.fakes import shape_image
from tests.support.images import encoded

VOCABULARY = "http://ns.useplus.org/ldf/vocab/"


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return issue(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("write", [png_bytes, jpeg_bytes, webp_bytes])
@pytest.mark.parametrize(
    ("value", "refused"),
    [
        ("DMI-PROHIBITED", True),
        ("DMI-PROHIBITED-AIMLTRAINING", True),
        ("DMI-PROHIBITED-GENAIMLTRAINING", True),
        ("DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING", True),
        ("DMI-PROHIBITED-SEECONSTRAINT", True),
        ("dmi-prohibited", True),
        ("DMI-ALLOWED", False),
        ("DMI-UNSPECIFIED", False),
    ],
)
def test_plus_data_mining(write: Any, value: str, refused: bool) -> None:
    data = write(shape_image(1), xmp=packet({"plus:DataMining": VOCABULARY + value}))
    assert declared_in(data).opt_out == (f"data-mining: {value.upper()}" if refused else "")


def test_plus_data_mining_as_an_attribute_and_behind_the_pixels() -> None:
    text = packet({"plus:DataMining": VOCABULARY + "DMI-PROHIBITED"}).decode()
    short = text.replace('rdf:about=""', f'rdf:about="" plus:DataMining="{VOCABULARY}DMI-PROHIBITED"', 1)
    short = short[: short.index("<plus:")] + short[short.index("</plus:DataMining>") + 18 :]
    assert "<plus:DataMining>" not in short
    assert declared_in(jpeg_bytes(shape_image(1), short.encode())).opt_out == "data-mining: DMI-PROHIBITED"
    data = png_bytes(shape_image(1), xmp=text.encode())
    start = data.index(b"iTXt") - 4
    end = data.index(b"IDAT") - 4
    moved = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    assert moved.index(b"IDAT") < moved.index(b"iTXt")
    assert declared_in(moved).opt_out == "data-mining: DMI-PROHIBITED"


def _cut(text: str) -> bytes:
    return text[: text.rindex("</rdf:RDF>")].encode()


def _with_ampersand(text: str) -> bytes:
    return text.replace("</rdf:Description>", "<dc:rights>Ada & Ben</dc:rights></rdf:Description>").encode()


def _with_entity(text: str) -> bytes:
    return text.replace("<x:xmpmeta", '<!DOCTYPE x [<!ENTITY a "b">]>\n<x:xmpmeta', 1).encode()


def _too_long(text: str) -> bytes:
    return text.replace("<?xpacket end", " " * MAX_READ + "<?xpacket end").encode()


def _wide_and_cut(text: str) -> bytes:
    return _cut(text).decode().encode("utf-16-le")


def _png(xmp: bytes) -> bytes:
    info = PngInfo()
    info.add_itxt(PNG_KEY, xmp)
    return encoded(shape_image(1), "PNG", pnginfo=info)


DAMAGES = [_cut, _with_ampersand, _with_entity, _too_long, _wide_and_cut]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"plus:DataMining": VOCABULARY + "DMI-PROHIBITED"}, "data-mining: DMI-PROHIBITED in damaged XMP"),
        ({"plus:OtherConstraints": "NoAI, please"}, "noai: 'noai' in damaged XMP"),
    ],
)
def test_an_opt_out_counts_though_the_packet_cannot_be_parsed(
    damage: Callable[[str], bytes], properties: dict[str, str], said: str
) -> None:
    found = declared_in(_png(damage(packet(properties).decode())))
    assert (found.opt_out, found.note) == (said, "")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_packet_that_cannot_be_parsed_and_says_nothing_gets_a_note(damage: Callable[[str], bytes]) -> None:
    text = packet({"plus:DataMining": VOCABULARY + "DMI-ALLOWED"}).decode()
    found = declared_in(_png(damage(text)))
    assert found.opt_out == "" and found.note.startswith("its XMP was not read: ")
    assert declared_in(_png(text.encode())).note == ""


def test_the_packet_of_a_tiff_may_be_text() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[700] = packet({"plus:DataMining": VOCABULARY + "DMI-PROHIBITED"}).decode().replace("\ufeff", "")
    tags.tagtype[700] = TiffTags.ASCII
    data = encoded(shape_image(1), "TIFF", tiffinfo=tags)
    assert declared_in(data).opt_out.startswith("data-mining: DMI-PROHIBITED")


def test_signed_credentials_are_read_though_the_packet_cannot_be(issued: Issued) -> None:
    plain = jpeg_bytes(shape_image(1), _cut(packet({"plus:OtherConstraints": "none"}).decode()))
    assert declared_in(plain).note
    listed = entries("cawg.training-mining", ai_training="notAllowed")
    found = declared_in(with_assertions(issued, plain, "image/jpeg", listed))
    assert found.opt_out.startswith("c2pa: ") and found.note == ""


def entries(label: str, **uses: str) -> list[dict[str, Any]]:
    names = {f"{label.partition('.')[0]}.{name}": {"use": use} for name, use in uses.items()}
    return [{"label": label, "data": {"entries": names}}]


@pytest.mark.parametrize("label", ["cawg.training-mining", "c2pa.training-mining"])
@pytest.mark.parametrize(
    ("uses", "refused"),
    [
        ({"ai_generative_training": "notAllowed"}, True),
        ({"ai_training": "constrained", "data_mining": "allowed"}, True),
        ({"data_mining": "notAllowed"}, True),
        ({"ai_inference": "notAllowed", "ai_training": "allowed"}, False),
        ({"ai_generative_training": "allowed"}, False),
    ],
)
def test_training_mining_assertions(label: str, uses: dict[str, str], refused: bool, issued: Issued) -> None:
    plain = webp_bytes(shape_image(1))
    signed = with_assertions(issued, plain, MIMES[kind_of(plain)], entries(label, **uses))
    found = declared_in(signed)
    assert (found.opt_out.startswith(f"c2pa: {label}, "), found.note) == (refused, "")


def test_an_opt_out_counts_though_the_picture_was_changed_since(issued: Issued) -> None:
    signed = bytearray(
        with_assertions(
            issued,
            jpeg_bytes(shape_image(1)),
            "image/jpeg",
            entries("cawg.training-mining", ai_training="notAllowed"),
        )
    )
    signed[-30] ^= 1
    assert declared_in(bytes(signed)).opt_out.startswith("c2pa: ")


def test_without_the_extra_a_note_says_what_was_not_read(
    issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = entries("cawg.training-mining", ai_training="notAllowed")
    signed = with_assertions(issued, jpeg_bytes(shape_image(1)), "image/jpeg", listed)
    monkeypatch.setitem(__import__("sys").modules, "c2pa", None)
    found = declared_in(signed)
    assert found.opt_out == "" and "attribution-explorer[c2pa]" in found.note
    assert declared_in(jpeg_bytes(shape_image(1))).note == ""


def _exif(tag: int, value: Any) -> bytes:
    exif = Image.Exif()
    exif[tag] = value
    return encoded(shape_image(1), "JPEG", exif=exif)


def _text(key: str, value: str, *, packed: bool = False) -> bytes:
    info = PngInfo()
    info.add_text(key, value, zip=packed)
    return encoded(shape_image(1), "PNG", pnginfo=info)


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (_text("robots", "NoAI, noimageai"), "robots"),
        (_text("noai", "1"), "noai"),
        (_text("Comment", "do not train: noimageai.", packed=True), "Comment"),
        (_exif(33432, "(c) Ada. noai"), "Copyright"),
        (_exif(40094, "cat;noai\0".encode("utf-16-le")), "XPKeywords"),
        (_exif(37510, b"ASCII\0\0\0noai"), "UserComment"),
        (encoded(shape_image(1), "JPEG", comment=b"#noai"), "Comment"),
        (jpeg_bytes(shape_image(1), packet({"plus:OtherConstraints": "noai"})), "OtherConstraints"),
    ],
)
def test_markers(data: bytes, where: str) -> None:
    assert declared_in(data).opt_out.startswith("noai: ") and declared_in(data).opt_out.endswith(
        f" in {where}"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Copyright: do not use for AI training", "do not use for AI training"),
        ("(c) Ada. DO NOT USE TO TRAIN AI.", "DO NOT USE TO TRAIN AI"),
        ("Don’t use this image for training AI models!", "Don't use this image for training AI models"),
        ("May not be used for the purpose of training AI", "May not be used for the purpose of training AI"),
        (
            "Must not be used to train generative artificial intelligence",
            "Must not be used to train generative art",
        ),
        ("Not for AI training", "Not for AI training"),
        ("Cannot be used in machine learning", "Cannot be used in machine learning"),
        ("never use my work in machine learning", "never use my work in machine learning"),
        ("Not licensed for any AI training", "Not licensed for any AI training"),
        ("No AI training", "No AI training"),
        ("No permission for use in AI/ML training", "No permission for use in AI/ML training"),
        ("NO AI TRAINING: any use of this to “train” generative AI is prohibited", "NO AI TRAINING"),
        ("Do not copy, scrape or use for A.I. training", "Do not copy, scrape or use for A.I. training"),
        ("Do not use to train A.I.", "Do not use to train A.I."),
        (
            "May not be used for commercial purposes or for AI training",
            "May not be used for commercial purposes or for",
        ),
        ("AI training is strictly prohibited", "AI training is strictly prohibited"),
        ("Use for AI training not permitted", "AI training not permitted"),
        ("Text and data mining reserved", "Text and data mining reserved"),
        (
            "All rights, including for text and data mining (TDM), Artificial Intelligence (AI) training, and similar "
            "technologies, are reserved.",
            "Artificial Intelligence training, and similar technologies, are reserved",
        ),
    ],
)
def test_plain_sentences_on_rights_count_and_are_quoted(text: str, words: str) -> None:
    found = declared_in(_exif(33432, text.replace("’", "'").replace("“", '"').replace("”", '"'))).opt_out
    assert found.startswith(f"words: '{words}") and found.endswith("' in Copyright")
    assert declared_in(jpeg_bytes(shape_image(1), packet({"plus:OtherConstraints": text}))).opt_out.endswith(
        "in OtherConstraints"
    )


@pytest.mark.parametrize(
    "text",
    [
        "May be used for AI training",
        "AI training is allowed",
        "AI training is not prohibited",
        "Not only for AI training",
        "No restrictions on AI training",
        "No AI training restrictions",
        "Do not use commercially, but may be used for AI training",
        "Do not use without credit. AI training allowed",
        "No AI was used to make this",
        "Not made with AI",
        "Made by hand, not the work of machine learning",
        "No machine learning was used",
        "Not trained on AI; all rights reserved",
        "(c) Machine Learning Studio, all rights reserved",
        "Do not forget: AI training welcome",
        "not AI, training data",
        "All rights reserved. Ask for AI training",
        "no" * 5000 + " not be used for" * 1000,
    ],
)
def test_sentences_that_forbid_no_training(text: str) -> None:
    assert declared_in(_exif(33432, text)).opt_out == ""


def test_plain_sentences_count_in_texts_on_rights_alone() -> None:
    assert declared_in(_text("Copyright", "no AI training")).opt_out == "words: 'no AI training' in Copyright"
    assert declared_in(_text("Comment", "no AI training")).opt_out == ""


@pytest.mark.parametrize(
    "data",
    [
        _text("noai", "false"),
        _text("prompt", "a badge that says noai"),
        _text("Comment", "noaid, xnoai, no ai"),
        GeneratedImage(shape_image(1), Recipe("noai, DMI-PROHIBITED")).encode("png"),
        GeneratedImage(shape_image(1), Recipe("noai, DMI-PROHIBITED")).encode("webp"),
        png_bytes(shape_image(1)),
        b"noai DMI-PROHIBITED c2pa jumb",
    ],
)
def test_what_is_no_opt_out(data: bytes) -> None:
    assert declared_in(data).opt_out == ""


@pytest.mark.parametrize(
    "text",
    [
        "true",
        "1",
        "YES",
        "noai",
        "index, noimageai",
        VOCABULARY + "DMI-PROHIBITED",
        "1.0",
        "y",
        "opted-out",
        "Opted out",
        "dmi-prohibited",
    ],
)
def test_a_row_says_so(text: str) -> None:
    assert opt_out_in_cell(text) == f"row: {text}"


@pytest.mark.parametrize(
    "text", ["", "false", "0", "0.0", "n", "No", "all, follow", VOCABULARY + "DMI-ALLOWED", "none"]
)
def test_a_row_does_not(text: str) -> None:
    assert opt_out_in_cell(text) == ""
