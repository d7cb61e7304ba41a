"""What a visit remembers and for how long, and what a link may ask for."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qsl

import gradio as gr
import pytest
from PIL import Image

from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.result import Attribution
from attribution_core.collection.collection import Collection
from attribution_core.errors import AttributionError, CheckpointError
from attribution_core.generation.recipe import MAX_SEED, Recipe
from attribution_core.reports.section import Section
from attribution_core.settings import Settings
from tests.support.fakes import fake_collection, shape_image
from tests.support.tiny_pipeline import make_pocket_like
from ui.services import visit
from ui.services.app import MAX_PROMPT, Query, Services
from ui.services.link import OTHER_GENERATOR, read_link, write_link
from ui.services.visit import Seen, remember, returnable
from ui.session import Session
from ui.tabs import report_buttons
from ui.widgets.recipe_fields import filled_in


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Services:
    folder = tmp_path_factory.mktemp("visit") / "shapes"
    fake_collection(folder, n=40)
    make_pocket_like(folder / "generator")
    return Services.open(Settings(collection=folder, top=20))


@pytest.fixture(scope="module")
def result(services: Services) -> Attribution:
    return Attributor(services.collection).attribute(shape_image(7), 5)


def test_the_same_image_again_counts_once_and_is_the_latest(result: Attribution) -> None:
    seen: list[Seen] = []
    images = {title: shape_image(ord(title)) for title in "ab"}
    for title, method, said_so in (("a", "one", False), ("b", "one", False), ("a", "two", True)):
        seen = remember(seen, Query(images[title], title, said_so=said_so), result, method)
    assert [(s.entry.title, s.entry.method, s.number) for s in seen] == [("b", "one", 2), ("a", "two", 3)]
    assert [s.entry.title for s in returnable(seen)] == ["a", "b"]


def test_old_images_are_let_go_and_their_rows_kept(result: Attribution) -> None:
    seen: list[Seen] = []
    for k in range(visit.LEDGER + 5):
        seen = remember(seen, Query(shape_image(k), str(k)), result, "one")
    assert len(seen) == visit.LEDGER
    assert [s.entry.title for s in seen[:2]] == ["5", "6"]
    assert len(returnable(seen)) == visit.RETURNS
    assert seen[0].query is None and max(seen[0].thumbnail.size) <= visit.THUMBNAIL


def test_large_images_are_let_go_earlier_but_the_latest_never(
    result: Attribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit, "PIXELS", 25_000)
    seen: list[Seen] = []
    for k in range(4):
        image = Image.new("RGB", (100, 100), (k, 0, 0))
        seen = remember(seen, Query(image, str(k)), result, "one")
        assert image.size == (100, 100)
    assert [s.entry.title for s in returnable(seen)] == ["3", "2"]
    seen = remember(seen, Query(Image.new("RGB", (1000, 1000)), "large"), result, "one")
    assert [s.entry.title for s in returnable(seen)] == ["large"]
    assert len(seen) == 5


def test_a_link_comes_back_as_it_was_written(services: Services) -> None:
    assert services.generator is not None
    made = Recipe("a & b = ü #?", 7, 9, 2.5, "x", services.generator.sha256)
    words = write_link(Query(shape_image(1), "t", made), services)
    assert words.startswith("?prompt=") and " " not in words
    link = read_link(dict(parse_qsl(words[1:])), services)
    assert link is not None and link.notices == () and link.method == services.collection.method
    read = link.recipe
    assert (read.prompt, read.seed, read.steps, read.guidance) == ("a & b = ü #?", 7, 9, 2.5)


def test_guidance_keeps_its_digits(services: Services) -> None:
    words = write_link(Query(shape_image(1), "t", Recipe("cat", guidance=3.14159265358979)), services)
    link = read_link(dict(parse_qsl(words[1:])), services)
    assert link is not None and link.recipe.guidance == 3.14159265358979


def test_a_report_holds_the_sections_that_other_tabs_add(services: Services, result: Attribution) -> None:
    query = Query(shape_image(7), "seven")
    with gr.Blocks() as page:
        session = Session(services)
        session.method.render()
        session.add_report_section(lambda q, result: Section("Is it a copy?", f"Of {q.title}: no."))
        session.add_report_section(lambda q, result: None)
        report_buttons.build(services, session, gr.Slider(1, 5, 3))
    make = next(f.fn for f in page.fns.values() if f.api_name == "report_json")
    told = json.loads(Path(make(query, result, services.collection.method, 3)).read_text())
    assert [(s["title"], s["words"]) for s in told["sections"]] == [("Is it a copy?", "Of seven: no.")]
    assert told["attribution"] == result.to_dict()
    make = next(f.fn for f in page.fns.values() if f.api_name == "report_json_ld")
    file = Path(make(query, result, services.collection.method, 3))
    assert file.name == "seven-report.jsonld"
    assert json.loads(file.read_text())["mainEntity"]["numberOfItems"] == len(result)


def test_what_was_made_elsewhere_has_no_link_here(services: Services) -> None:
    assert write_link(None, services) == ""
    assert write_link(Query(shape_image(1), "upload"), services) == ""
    assert write_link(Query(shape_image(1), "t", Recipe("x" * (MAX_PROMPT + 1))), services) == ""
    assert write_link(Query(shape_image(1), "t", Recipe("t", generator_sha256="0" * 64)), services) == ""
    other = read_link({"prompt": "cat", "generator": "000000"}, services)
    assert other is not None and other.notices == (OTHER_GENERATOR,)


def test_a_link_takes_what_it_does_not_say_from_the_generator(services: Services) -> None:
    link = read_link({"prompt": "  red   cat ", "__theme": "dark"}, services)
    assert link is not None
    usual = services.defaults
    assert link.recipe == Recipe("red cat", 1, usual.steps, usual.guidance)
    assert read_link({"seed": "5"}, services) is None
    assert read_link({"prompt": " "}, services) is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"seed": "many"}, "recipe"),
        ({"seed": "-1"}, "seed"),
        ({"seed": str(MAX_SEED + 1)}, "seed"),
        ({"steps": "1e9"}, "recipe"),
        ({"steps": "0"}, "steps"),
        ({"steps": "9" * 5000}, "recipe"),
        ({"guidance": "nan"}, "guidance"),
        ({"guidance": "inf"}, "guidance"),
        ({"method": "none such"}, "method"),
        ({"prompt": "x" * (MAX_PROMPT + 1)}, "characters"),
    ],
)
def test_bad_links_are_one_sentence(values: dict[str, str], words: str, services: Services) -> None:
    with pytest.raises(AttributionError, match=words):
        read_link({"prompt": "cat", **values}, services)


def test_a_collection_without_a_generator_opens_no_link(tmp_path: Path) -> None:
    plain = Services.open(Settings(collection=fake_collection(tmp_path / "plain", n=10).path))
    with pytest.raises(CheckpointError, match="no generator"):
        read_link({"prompt": "cat"}, plain)
    assert write_link(Query(shape_image(1), "t", Recipe("t")), plain) == ""


def test_fields_are_widened_for_a_recipe_that_they_cannot_hold() -> None:
    assert filled_in(Recipe("cat", 3, 12, 3.5)) == ["cat", 3, 12, 3.5]
    _, seed, steps, guidance = filled_in(Recipe("cat", MAX_SEED, 200, 0.5))
    assert (seed["value"], seed["maximum"]) == (MAX_SEED, MAX_SEED)
    assert (steps["value"], steps["maximum"]) == (200, 200)
    assert (guidance["value"], guidance["minimum"], guidance["maximum"]) == (0.5, 0.5, 10.0)


def test_other_collections_open_beside_the_first(tmp_path: Path) -> None:
    first, second = (fake_collection(tmp_path / name, n=n).path for name, n in (("a", 20), ("b", 30)))
    services = Services.open(Settings(collection=first, compare_with=(second,)))
    assert [len(one.collection.index) for one in services.others] == [30]
    with pytest.raises(CheckpointError, match="nowhere"):
        Services.open(Settings(collection=first, compare_with=(tmp_path / "nowhere",)))
    assert Collection.open(first).name == services.others[0].collection.name
