"""A report holds exactly the attribution's numbers, loads nothing, and shows strangers' words as words."""

from __future__ import annotations

import datetime
import html.parser
import json
import re
from base64 import b64decode
from dataclasses import asdict, fields, is_dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from attribution_core.attribution.attributor import Added, Attributor
from attribution_core.attribution.origin import MadeBy
from attribution_core.cli.main import app
from attribution_core.collection.collection import Collection
from attribution_core.common.files import sha256_file
from attribution_core.common.images import data_uri
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import CollectionMismatchError, InvalidInputError
from attribution_core.generation.recipe import Recipe
from attribution_core.reports import card
from attribution_core.reports.html import report_page
from attribution_core.reports.meaning import LIMITS, MEANING
from attribution_core.reports.report import Report, make_report
from attribution_core.reports.section import Fact, Picture, Section
from attribution_core.reports.wording.headline import headline, similarity_headline
from attribution_core.reports.wording.origin import ORIGIN
from tests.support.fakes import fake_collection, shape_image
from tests.support.images import save_png

HOSTILE = "<script>alert('x')</script><img src=http://evil.example/p.png onerror=alert(1)>\"'&"
ROOT = Path(__file__).resolve().parents[2]
NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return fake_collection(tmp_path_factory.mktemp("report") / "shapes", n=60)


def report(shapes: Collection, title: str = "seven", **more: object) -> Report:
    result = Attributor(shapes).attribute(shape_image(7), top=20)
    return make_report(shape_image(7), result, shapes, title=title, made=NOW, **more)  # type: ignore[arg-type]


class Tags(html.parser.HTMLParser):
    """Every tag with its attributes, and all text outside of the style sheet."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] and self.tags[-1][0] != "style":
            self.words += data


def test_the_page_loads_nothing_and_runs_nothing(shapes: Collection) -> None:
    text = report_page(report(shapes))
    page = Tags(text)
    names = {tag for tag, _ in page.tags}
    assert not names & {
        "script",
        "link",
        "iframe",
        "object",
        "embed",
        "form",
        "base",
        "audio",
        "video",
        "source",
    }
    loaded = [
        value
        for tag, attrs in page.tags
        for key, value in attrs.items()
        if key in ("src", "srcset", "poster", "background", "data", "xlink:href")
        or (key == "href" and tag != "a")
    ]
    assert loaded and all(str(value).startswith("data:image/") for value in loaded)
    assert not re.search(r"url\(|@import", text)
    assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on")]
    assert text.count("default-src 'none'") == 1
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert "https://example.org/7" in links


def test_strangers_words_are_words(shapes: Collection) -> None:
    result = Attributor(shapes).attribute(shape_image(7), top=20)
    credit = replace(
        result.credits[0], caption=HOSTILE, creator=HOSTILE, licence=HOSTILE, link=f"javascript:{HOSTILE}"
    )
    told = make_report(
        shape_image(7),
        replace(result, credits=(credit, *result.credits[1:])),
        shapes,
        title=HOSTILE,
        recipe=Recipe(HOSTILE, 3, generator=HOSTILE, software=HOSTILE),
        sections=[
            Section(
                HOSTILE, HOSTILE, (Fact(HOSTILE, HOSTILE, 1, HOSTILE),), (Picture(shape_image(1), HOSTILE),)
            )
        ],
    )
    told = replace(told, collection=HOSTILE, method=HOSTILE)
    page = Tags(report_page(told))
    assert {tag for tag, _ in page.tags}.isdisjoint({"script"})
    assert all(str(attrs["src"]).startswith("data:") for tag, attrs in page.tags if tag == "img")
    assert all(str(attrs["href"]).startswith("https://") for tag, attrs in page.tags if tag == "a")
    assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on")]
    assert page.words.count(HOSTILE) > 10


def poisoned(value: Any) -> Any:
    """A value of dataclasses with hostile text in the place of every text, and of every name in a mapping."""
    if isinstance(value, StrEnum):
        return value
    if isinstance(value, str):
        start = re.match(r"data:image/|https://", value)
        return f"{start[0] if start else ''}{HOSTILE}"
    if isinstance(value, tuple):
        return tuple(map(poisoned, value))
    if isinstance(value, dict):
        return {poisoned(name): poisoned(one) for name, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        kept = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        return replace(value, **{name: poisoned(one) for name, one in kept.items()})
    return value


def test_hostile_text_in_every_field_is_escaped(shapes: Collection) -> None:
    clean = report(
        shapes,
        recipe=Recipe("seven", 5, 6, 2.5, "shapes", "ab" * 32),
        sections=[
            Section("Title", "Words.", (Fact("Name", "1", 1, "How."),), (Picture(shape_image(1), "Caption"),))
        ],
    )
    parts = tuple(replace(part, versions={"package": "1.0"}) for part in clean.parts)
    hostile = poisoned(replace(clean, parts=parts))
    assert hostile.attribution.credits[0].caption == hostile.parts[0].what == HOSTILE, "the test reaches both"
    text, page = report_page(hostile), Tags(report_page(hostile))
    assert "<script" not in text and HOSTILE not in text
    before = Tags(report_page(clean))
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in before.tags}
    assert {key for _, attrs in page.tags for key in attrs} == {
        key for _, attrs in before.tags for key in attrs
    }
    shown = [attrs["alt"] for tag, attrs in page.tags if tag == "img"]
    assert sum(HOSTILE in str(alt) for alt in shown) == len(shown), "captions are attributes, too"
    listed = 20 * 4  # captions, creators, licences and checksums are in a table and elsewhere
    assert page.words.count(HOSTILE) > listed


def test_only_links_leave_the_templates_unescaped() -> None:
    templates = sorted((ROOT / "attribution_core/reports/templates").glob("*.j2"))
    unescaped = [
        (path.name, line.strip())
        for path in templates
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\|\s*safe\b|autoescape|Markup", line)
    ]
    assert len(templates) >= 3
    assert unescaped == [("macros.html.j2", "{{ address | web_link(name) | safe }}")]


def test_the_json_holds_the_attributions_numbers_to_the_last_digit(shapes: Collection) -> None:
    told = report(shapes, recipe=Recipe("seven", 5, 6, 2.5, "shapes", "ab" * 32), shown=4)
    loaded = json.loads(told.to_json())
    assert loaded["attribution"] == told.attribution.to_dict()
    assert loaded["query"]["recipe"] == asdict(told.recipe)  # type: ignore[arg-type]
    assert loaded["sums"] == [s.to_dict() for s in told.sums]
    assert [s["by"] for s in loaded["sums"]] == ["creator", "licence"]
    for told_sum in loaded["sums"]:
        assert sum(g["influence"] for g in told_sum["groups"]) + told_sum["rest"] == pytest.approx(1)
    assert len(loaded["thumbnails"]) == 4
    assert b64decode(loaded["thumbnails"][0].split(",")[1]) == shapes.corpus.image_bytes(7), (
        "the closest, as stored"
    )
    assert loaded["made"] == "2026-01-02T03:04:05+00:00"
    assert loaded["limits"] == list(LIMITS)
    assert set(loaded["how"]) >= {"influence", "interval", "similarity", "rest", "sums"}


def test_the_page_shows_what_the_json_says(shapes: Collection) -> None:
    told = report(
        shapes,
        recipe=Recipe("seven", 5, 6, 2.5, "shapes", "ab" * 32),
        shown=4,
        sections=[
            Section(
                "Is it a copy?",
                "No.",
                (Fact("Copy similarity", "0.31", 0.31, "By eye."),),
                (Picture(shape_image(3), "the closest"),),
            )
        ],
    )
    page = Tags(report_page(told))
    assert sum(tag == "img" for tag, _ in page.tags) == 1 + 2 * 4 + 1, "sources are on the first page, too"
    for words in (
        "seven",
        "ab" * 32,
        "Is it a copy?",
        "0.31",
        "By eye.",
        "the closest",
        "By creator",
        "By licence",
        "black circle, flat style",
        "56 others together",
        *MEANING,
        *LIMITS,
    ):
        assert words in page.words, words
    assert told.to_dict()["sections"][0]["facts"][0]["number"] == 0.31


def test_images_that_opted_out_are_marked_wherever_they_stand(shapes: Collection) -> None:
    plain = report(shapes, shown=4)
    result = plain.attribution
    marked = replace(result, credits=(replace(result.credits[0], opted_out="noai: <i>"), *result.credits[1:]))
    assert "Opted out" not in Tags(report_page(plain)).words
    words = Tags(report_page(replace(plain, attribution=marked))).words
    assert words.count("Opted out of training") == words.count("(noai: <i>)") == 3  # source, card and row
    assert replace(plain, attribution=marked).to_dict()["attribution"]["top"][0]["opted_out"] == "noai: <i>"


def test_cards_and_checksums_of_the_parts_that_were_used(shapes: Collection) -> None:
    parts = {part.name: part for part in report(shapes).parts}
    assert set(parts) == {"collection", "mappers", "index", "calibrator"}  # the fake corpus has no card
    assert parts["index"].files == {"index.faiss": sha256_file(shapes.path / "index/index.faiss")}
    assert parts["calibrator"].card_sha256 == sha256_file(shapes.path / "calibrator/card.json")


def test_large_images_are_made_smaller_and_small_ones_kept() -> None:
    assert data_uri(shape_image(1), 1024).startswith("data:image/png")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (900, 1800, 3), dtype=np.uint8))
    assert data_uri(noise, 256).startswith("data:image/webp")
    assert len(data_uri(noise, 256)) < 100_000
    assert noise.size == (1800, 900), "the image itself is left as it is"


def test_a_large_training_image_goes_in_as_a_thumbnail(tmp_path: Path, shapes: Collection) -> None:
    import io

    noise, out = (
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)),
        io.BytesIO(),
    )
    noise.save(out, "PNG")
    Corpus.write(
        tmp_path / "train-0.parquet", [{"id": "n", "image": {"bytes": out.getvalue(), "path": "n.png"}}] * 60
    )
    told = make_report(
        shape_image(7),
        Attributor(shapes).attribute(shape_image(7), 3),
        replace(shapes, corpus=Corpus.open(tmp_path)),
        title="x",
    )
    assert all(t.startswith("data:image/webp") and len(t) < 80_000 for t in told.thumbnails)


def test_what_cannot_be_reported_says_so(shapes: Collection) -> None:
    result = Attributor(shapes).attribute(shape_image(7), 20)
    with pytest.raises(InvalidInputError, match="shown"):
        make_report(shape_image(7), result, shapes, title="x", shown=0)
    added = Attributor(shapes).attribute(shape_image(7), 20, added=[Added(shape_image(8))])
    with pytest.raises(CollectionMismatchError):
        make_report(shape_image(7), added, shapes, title="x")


@pytest.mark.parametrize("document", ["README.md", "docs/how-it-works.md"])
def test_readme_and_docs_say_the_same_of_what_a_score_means(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    plain = " ".join(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("*", "").split())
    assert [words for words in (*MEANING, *LIMITS) if words not in plain] == []


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_the_command_writes_both_files(shapes: Collection, tmp_path: Path) -> None:
    save_png(shape_image(7), tmp_path / "q.png", Recipe("a <cat>", 5, 6, 2.5).to_dict())
    done = run(
        tmp_path / "q.png",
        "--out",
        tmp_path / "new/r.html",
        "--json",
        tmp_path / "r.json",
        "--collection",
        shapes.path,
        "--top",
        7,
    )
    assert done.exit_code == 0, done.output
    loaded = json.loads((tmp_path / "r.json").read_text())
    assert loaded["attribution"] == Attributor(shapes).attribute(shape_image(7), 7).to_dict()
    assert (loaded["query"]["title"], loaded["query"]["recipe"]["seed"]) == ("a <cat>", 5)
    assert "a &lt;cat&gt;" in (tmp_path / "new/r.html").read_text(encoding="utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "q.png", "r.json"], (
        "nothing half-written is left"
    )


def test_a_damaged_recipe_is_left_aside_with_a_note(shapes: Collection, tmp_path: Path) -> None:
    save_png(shape_image(7), tmp_path / "q.png", {"prompt": "cat", "seed": "many"})
    done = run(tmp_path / "q.png", "--out", tmp_path / "r.html", "--collection", shapes.path)
    assert done.exit_code == 0 and "is ignored" in done.stderr
    assert "without a recipe" in (tmp_path / "r.html").read_text()


def test_the_command_writes_a_card_with_the_address(
    shapes: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[dict[str, Any]] = []
    draw = card.share_card

    def noted(*given: Any, **named: Any) -> Image.Image:
        drawn.append(named)
        return draw(*given, **named)

    monkeypatch.setattr(card, "share_card", noted)
    shape_image(7).save(tmp_path / "q.png")
    out, collection = ["--out", tmp_path / "r.html"], ["--collection", shapes.path]
    made = ["--card", tmp_path / "new/card.png", "--address", "https://example.org/?seed=7"]
    done = run(tmp_path / "q.png", *out, *collection, *made, "--made-by-this-model")
    assert done.exit_code == 0, done.output
    assert drawn == [{"title": "q", "address": "https://example.org/?seed=7"}]
    with Image.open(tmp_path / "new/card.png") as picture:
        assert (picture.format, picture.size) == ("PNG", card.SIZE)
        result = Attributor(shapes).attribute(shape_image(7), 50, made_by=MadeBy.SAID_SO)
        assert picture.tobytes() == draw(shape_image(7), result, shapes.corpus, **drawn[0]).tobytes()
    assert "card.png: " in done.stdout


def test_a_card_that_cannot_be_written_is_one_line(shapes: Collection, tmp_path: Path) -> None:
    shape_image(7).save(tmp_path / "q.png")
    for path in ("/proc/card.png", tmp_path / "q.png/card.png"):
        done = run(
            tmp_path / "q.png",
            *("--out", tmp_path / "r.html", "--collection", shapes.path, "--card", path),
        )
        assert done.exit_code == 2 and "cannot be written" in done.stderr, path
        assert done.stderr.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["q.png", "r.html"]


@pytest.mark.parametrize("said", [True, False])
def test_page_and_json_say_what_is_known_of_the_images_making(
    shapes: Collection, tmp_path: Path, said: bool
) -> None:
    shape_image(7).save(tmp_path / "q.png")
    files = ["--out", tmp_path / "r.html", "--json", tmp_path / "r.json", "--collection", shapes.path]
    assert run(tmp_path / "q.png", *files, *["--made-by-this-model"] * said).exit_code == 0
    known = MadeBy.SAID_SO if said else MadeBy.UNKNOWN
    result = Attributor(shapes).attribute(shape_image(7), 50, made_by=known)
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["query"]["made_by"] == told["attribution"]["made_by"] == str(known)
    assert told["headline"] == headline(result)
    words = Tags((tmp_path / "r.html").read_text(encoding="utf-8")).words
    found = headline(result) if said else similarity_headline(result)
    assert told["verdict"] == {"influence": f"{found}.", "copy": "", "second_opinion": ""}
    assert found in words and ORIGIN[known] in words


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere.png", "--out", "OUT"],
        ["BAD", "--out", "OUT"],
        ["GOOD", "--out", "FOLDER"],
        ["GOOD", "--out", "OUT", "--json", "FOLDER"],
        ["GOOD", "--out", "OUT", "--card", "FOLDER"],
        ["GOOD", "--out", "OUT", "--top", "0"],
        ["GOOD", "--out", "OUT", "--method", "none such"],
        ["GOOD", "--out", "OUT", "--collection", "nowhere"],
        ["GOOD", "--out", "OUT", "--temperature", "-1"],
    ],
)
def test_bad_input_ends_with_one_line_and_writes_nothing(
    arguments: list[str], shapes: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTRIBUTION_COLLECTION", str(shapes.path))
    (tmp_path / "bad.png").write_bytes(b"no image")
    shape_image(7).save(tmp_path / "good.png")
    (tmp_path / "folder").mkdir()
    names = {"BAD": "bad.png", "GOOD": "good.png", "OUT": "out.html", "FOLDER": "folder"}
    done = run(*(str(tmp_path / names[a]) if a in names else a for a in arguments))
    assert done.exit_code == 2, done.output
    assert done.stdout == "" and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert not (tmp_path / "out.html").exists()
