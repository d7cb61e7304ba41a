"""What the tabs ask for, without a browser: streams that stop, uploads that are checked, words for the headline."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attribution_core.add_one_in.reliability import Reliability
from attribution_core.attribution.origin import MadeBy
from attribution_core.attribution.result import Attribution
from attribution_core.collection.collection import Collection
from attribution_core.common.images import Limits, jpeg_bytes, png_bytes, read_recipe
from attribution_core.common.text import rounded_percent
from attribution_core.corpus.corpus import Corpus
from attribution_core.corpus.credit import Credit
from attribution_core.credentials.c2pa import ESTIMATE
from attribution_core.credentials.iptc import GENERATED, AiMetadata
from attribution_core.credentials.read import Credentials, read_credentials
from attribution_core.encoding.encoders import load_encoder
from attribution_core.errors import CheckpointError, InvalidImageError, InvalidInputError
from attribution_core.generation.generator import Generator, StepPreview
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.wording.credentials import credentials_words
from attribution_core.reports.wording.reliability import UNSEEN_THINGS
from attribution_core.retrieval.hits import Hits
from attribution_core.retrieval.rest import Rest
from attribution_core.scoring.calibrator import Calibrator
from attribution_core.scoring.shares import Scale
from attribution_core.settings import Settings
from tests.support.certificates import issue
from tests.support.fakes import ENCODER, fake_collection, fake_evidence, shape_image, shape_rows
from tests.support.images import save_png
from tests.support.tiny_pipeline import make_pocket_like, save_example
from ui.services.app import NOT_SIGNED, OTHERS, UNSAID, Query, Services
from ui.services.uploads import Uploads, as_kept
from ui.tabs.attribution import _facts, _rest_bar
from ui.widgets.credentials_html import credentials_html
from ui.widgets.joined import joined_boxes


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Services:
    folder = tmp_path_factory.mktemp("services") / "shapes"
    fake_collection(folder, n=60)
    make_pocket_like(folder / "generator")
    for k in (1, 2):
        save_example(folder, f"{k}.png", shape_image(k), Recipe(f"shape {k}", k))
    save_png(shape_image(9), folder / "examples/without-recipe.png")
    return Services.open(Settings(collection=folder, top=20, max_upload_mb=1))


def test_a_stream_ends_with_the_image_that_the_library_makes(services: Services) -> None:
    events = list(services.generate("  red\n cat ", 3, 4, 2.0))
    made = events[-1]
    assert isinstance(made, Query) and made.recipe is not None and made.noise_signal is not None
    for event in events[:-1]:
        assert isinstance(event, StepPreview) and event.noise_signal is not None
        assert event.noise_signal.steps == made.noise_signal.steps[: event.step]
    assert (made.title, made.recipe.seed, made.recipe.steps) == ("red cat", 3, 4)
    same = Generator.open(services.collection.path / "generator", "cpu").generate("red cat", 3, 4, 2.0)
    assert made.image.tobytes() == same.image.tobytes()


def test_words_that_no_training_caption_has_are_told_of_its_own_generator_alone(services: Services) -> None:
    def told(of: Services, prompt: str) -> tuple[str, ...]:
        made = list(of.generate(prompt, 1, 2, 2.0))[-1]
        assert isinstance(made, Query)
        return tuple(notice for notice in made.notices if "does not know" not in notice)

    assert told(services, "green circle") == ()
    assert told(services, "a cat or a red house") == (UNSAID.format(words="“cat” or “house”"),)
    settings = services.settings.model_copy(update={"generator": str(services.collection.path / "generator")})
    assert told(Services(settings, services.collection, services.generator), "a cat") == (OTHERS,)


def test_doubt_is_cast_only_where_its_rule_was_measured(tmp_path: Path) -> None:
    rows = shape_rows(60)
    for row in rows:
        row["short_caption"] = row["caption"]
    collection = fake_collection(tmp_path, n=60)
    Corpus.write(tmp_path / "corpus/train-core.parquet", rows)
    collection.add_method(
        "other",
        encoder=ENCODER,
        features=load_encoder(ENCODER).encode([shape_image(i) for i in range(60)]),
        calibrator=Calibrator.from_temperature(0.02, ENCODER),
    )
    make_pocket_like(tmp_path / "generator")
    services = Services.open(Settings(collection=tmp_path))
    own = Generator.open(tmp_path / "generator").sha256
    image, title = shape_image(7), "bar, flat style"  # a black circle, whose neighbours are circles

    def doubt(recipe: Recipe | None, method: str | None = None, opened: Services = services) -> str:
        query = Query(image, title, recipe)
        return opened.doubt_words(query, opened.attribute(query, method))

    recipe = Recipe(title, generator_sha256=own)
    assert doubt(recipe).startswith("The image may not show “bar”: under 3% of its influence ")
    assert doubt(dataclasses.replace(recipe, prompt="circle, flat style")) == ""
    assert doubt(dataclasses.replace(recipe, prompt="bar of gold, flat style")) == "", "gold has a notice"
    assert (
        doubt(recipe, "other")
        == doubt(None)
        == doubt(dataclasses.replace(recipe, generator_sha256="0"))
        == ""
    )
    elsewhere = Services.open(Settings(collection=tmp_path, generator=str(tmp_path / "generator")))
    assert doubt(recipe, opened=elsewhere) == ""


def test_a_listener_that_leaves_stops_the_work(services: Services) -> None:
    assert services.generator is not None
    stream = services.generate("cat", 1, 200, 2.0)
    next(stream)
    stream.close()
    start = time.monotonic()
    with services.generator.lock:  # free as soon as the generation has ended
        waited = time.monotonic() - start
    whole = time.monotonic()
    list(services.generate("cat", 1, 200, 2.0))
    assert waited < (time.monotonic() - whole) / 2


@pytest.mark.parametrize(
    ("prompt", "seed", "words"),
    [
        ("", 1, "empty"),
        (" \n", 1, "empty"),
        ("x" * 501, 1, "501"),
        ("cat", -1, "seed"),
        ("cat", None, "seed"),
    ],
)
def test_bad_values_are_refused_before_any_work(
    services: Services, prompt: str, seed: int, words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        services.generate(prompt, seed, 4, 2.0)


def test_a_collection_without_a_generator_says_so(tmp_path: Path) -> None:
    fake_collection(tmp_path / "plain", n=10)
    plain = Services.open(Settings(collection=tmp_path / "plain"))
    with pytest.raises(CheckpointError, match="no generator"):
        plain.generate("cat", 1, 4, 2.0)
    assert plain.first is None


def test_the_page_opens_on_the_first_example_with_a_recipe(services: Services) -> None:
    assert [q.title for q in services.examples] == ["shape 1", "shape 2"]
    assert services.first is not None
    query, result = services.first
    assert query.recipe is not None and query.recipe.prompt == "shape 1"
    assert result.made_by is MadeBy.THIS_GENERATOR
    assert result.credits[0].id == "shape/0001"


def test_a_download_comes_back_with_its_recipe(services: Services, tmp_path: Path) -> None:
    query = services.examples[1]
    (tmp_path / "back.png").write_bytes(query.png)
    assert read_recipe(tmp_path / "back.png") == query.recipe.to_dict()
    again = services.read_upload(str(tmp_path / "back.png"))
    assert (again.title, again.recipe, again.image.tobytes()) == (
        query.title,
        query.recipe,
        query.image.tobytes(),
    )


def test_an_upload_without_or_with_a_damaged_recipe_is_still_an_image(
    services: Services, tmp_path: Path
) -> None:
    save_png(shape_image(4), tmp_path / "my cat.png", {"seed": "1"})
    query = services.read_upload(str(tmp_path / "my cat.png"))
    assert (query.title, query.recipe, query.file_name) == ("my cat", None, "my-cat")


def test_uploads_are_checked_before_they_are_decoded(services: Services, tmp_path: Path) -> None:
    with pytest.raises(InvalidImageError, match="no image"):
        services.read_upload(None)
    (tmp_path / "large.png").write_bytes(b"\0" * 1_000_001)
    with pytest.raises(InvalidImageError, match="1 MB"):
        services.read_upload(str(tmp_path / "large.png"))
    Image.new("1", (12_000, 12_000)).save(tmp_path / "bomb.png")
    with pytest.raises(InvalidImageError, match="megapixels"):
        services.read_upload(str(tmp_path / "bomb.png"))


def test_training_images_are_served_as_they_are_stored(services: Services) -> None:
    path = services.training_image(7)
    assert path.suffix == ".webp"
    assert path.read_bytes() == services.collection.corpus.image_bytes(7)
    assert path.parent == services.image_folder


def result_of(similarity: list[float], t: float = 0.02, caption: str = "a <b>cat</b>") -> Attribution:
    values = np.array([similarity], dtype=np.float32)
    hits = Hits(np.arange(3)[None, :], values[:, :3], Rest.from_similarities(values[:, 3:]))
    credits = tuple(
        Credit(id=f"i{k}", caption=caption, creator="Zoë", link="javascript:alert(1)") for k in range(3)
    )
    return Attribution(hits, credits, Scale(t), t, "toy", "fake", MadeBy.SAID_SO)


QUERY = Query(Image.new("RGB", (8, 8)), "my <i>query</i>")


def headline(query: Query | None, result: Attribution | None) -> str:
    """All that both boxes of the joined verdict say."""
    return "".join(joined_boxes(query, result))


def test_the_headline_names_an_image_only_where_it_stands_out() -> None:
    near, flat = result_of([0.9] + [0.2] * 200), result_of([0.31] + [0.3] * 200)
    assert near.stands_out and "One training image stands out" in headline(QUERY, near)
    assert not flat.stands_out
    assert "No single source" in headline(QUERY, flat)
    assert "about 200 training images" in headline(QUERY, flat)
    unknown = dataclasses.replace(near, made_by=MadeBy.UNKNOWN)
    assert "The most similar training image" in headline(QUERY, unknown)
    shown = headline(QUERY, unknown) + _rest_bar(unknown) + _facts(unknown, 1)
    assert "%" not in re.sub("<[^>]*>", "", shown)
    assert "Nothing attributed yet" in headline(None, None)


def test_words_of_others_are_shown_as_words() -> None:
    result = result_of([0.9] + [0.2] * 200)
    for text in (headline(QUERY, result), _facts(result, 1)):
        assert "<b>cat</b>" not in text and "<i>query" not in text
    links = re.findall(r'href="([^"]*)', _facts(result, 1))
    assert links and all(link.startswith("?tab=training-set&amp;") for link in links), (
        "a link that is no web address is not made one"
    )


def test_the_reliability_is_that_of_the_method_that_attributed(tmp_path: Path) -> None:
    collection = fake_collection(tmp_path / "shapes", n=60)
    features = load_encoder(ENCODER).encode([collection.corpus.image(i) for i in range(60)])
    for name in ("flatter", "unmeasured"):
        collection.add_method(
            name, encoder=ENCODER, features=features, calibrator=Calibrator.from_temperature(5.0, ENCODER)
        )
    fake_evidence(Collection.open(collection.path))
    services = Services.open(Settings(collection=collection.path))
    assert services.evidence is not None
    bins = Reliability(
        np.array([0.0]), np.array([1.1]), np.array([50]), np.array([0.5]), np.array([0.2]), 0.0, 0.0
    )
    right = {"own": 0.2, "flatter": 0.4}
    methods = [
        dataclasses.replace(
            method,
            calibrated=tuple(
                dataclasses.replace(
                    case,
                    case=UNSEEN_THINGS,
                    after=dataclasses.replace(bins, observed=np.array([right[method.name]])),
                )
                for case in method.calibrated
            ),
        )
        for method in services.evidence.methods
        if method.name in right
    ]
    services.evidence = dataclasses.replace(services.evidence, methods=tuple(methods))
    words = {
        name: services.reliability_words(services.attribute(QUERY, name))
        for name in (None, "flatter", "unmeasured")
    }
    assert ", 20% were the source" in words[None] and ", 40% were the source" in words["flatter"]
    assert words["unmeasured"] == ""


def test_the_bar_adds_up() -> None:
    result = result_of([0.5, 0.45, 0.4] + [0.3] * 97)
    text = _rest_bar(result)
    assert "the 97 others together" in text
    assert rounded_percent(result.rest) in text and rounded_percent(1 - result.rest) in text


def test_a_broken_collection_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        Services.open(Settings(collection=tmp_path))


def test_known_images_are_attributed_beside_their_exemplars(tmp_path: Path) -> None:
    collection = fake_collection(tmp_path / "shapes", n=60)
    without = Services.open(Settings(collection=collection.path))
    assert without.evidence is None
    fake_evidence(collection)
    services = Services.open(Settings(collection=collection.path))
    assert services.evidence is not None
    model = services.evidence.models("test_seen_concept")[2]
    result = services.attribute_known(model.made["written"][0], model, "own", 5)
    assert result.n_training == 61 and len(result) == 6
    assert result.ids[0] == 60 and result.credits[0].id == "2-exemplar.png"
    with pytest.raises(CheckpointError, match="no evidence"):
        without.attribute_known(model.made["written"][0], model, "own", 5)
    (collection.path / "evidence/evidence.json").write_text("{}")
    with pytest.raises(CheckpointError, match="build it again"):
        Services.open(Settings(collection=collection.path))


def drawn_by(services: Services) -> Query:
    made = list(services.generate("red cat", 3, 2, 2.0))[-1]
    assert isinstance(made, Query)
    return made


def test_what_the_app_draws_is_signed_and_nothing_else(services: Services, tmp_path: Path) -> None:
    own = issue(tmp_path / "own")
    given = {"c2pa_certificate": own.certificate, "c2pa_key": own.key, "c2pa_trust": own.root}
    settings = services.settings.model_copy(update={**given, "prompt_writer": "Ada"})
    signing = Services(settings, services.collection, services.generator)
    made = drawn_by(signing)
    result = signing.attribute(made)
    data, problem = signing.file_of(made, result)
    found = read_credentials(data, own.trust)
    assert problem == "" and found.manifest is not None and found.manifest.state == "trusted"
    assert found.ai.prompt_writer == "Ada"
    told = found.manifest.assertions[ESTIMATE]
    assert told["top"][0]["influence"] == pytest.approx(float(result.influence[0]))
    assert told["temperature"] == result.temperature and "estimate" in told["statement"]
    # An uploaded picture is not ours to sign, whatever its recipe says, and comes out as it came.
    (tmp_path / "back.png").write_bytes(data)
    back = signing.read_upload(str(tmp_path / "back.png"))
    assert back.recipe == made.recipe and back.credentials.manifest == found.manifest
    again = read_credentials(signing.file_of(back, result)[0], own.trust)
    assert again.manifest is None and again.ai == found.ai
    assert services.file_of(made)[0] == made.png
    own.key.unlink()
    assert signing.file_of(made, result) == (made.png, NOT_SIGNED)
    with pytest.raises(CheckpointError, match="cannot be read"):
        Services(settings, services.collection, services.generator)


def test_a_large_upload_keeps_what_it_says_though_it_is_scaled_down(tmp_path: Path) -> None:
    own = issue(tmp_path)
    for kind, encode in (("jpeg", jpeg_bytes), ("png", png_bytes)):
        xmp = AiMetadata("", "their model", "2", "a cat").xmp()
        large = own.signer.sign(
            encode(Image.new("RGB", (2100, 30)), xmp=xmp), kind, title="cat", generator="theirs"
        )
        kept = as_kept(large, f"a.{kind}", Limits(), own.trust)
        assert kept.data != large and read_credentials(kept.data).ai.system == "their model"
        uploads = Uploads(tmp_path / kind, 1_000_000)
        told = uploads.credentials(uploads.keep(kept))
        assert told is not None and told.manifest is not None and told.manifest.state == "trusted"
        small = as_kept(png_bytes(shape_image(1)), "b.png", Limits(), own.trust)
        assert uploads.credentials(uploads.keep(small)) is None


def test_the_fold_shows_text_and_only_where_there_is_some() -> None:
    assert credentials_html(Credentials()) == ""
    shown = credentials_html(Credentials(AiMetadata(GENERATED, "<script>", prompt="a\u202eb")))
    assert "&lt;script&gt;" in shown and "<script>" not in shown and "\u202e" not in shown
    assert "<dt>How it was made</dt><dd>made by a trained model</dd>" in shown
    assert "<dt>Signature</dt><dd>No signature was found in this file.</dd>" in shown


def test_what_a_file_says_is_in_plain_words_and_a_long_word_is_cut() -> None:
    said = Credentials(AiMetadata(version="x" * 300), rights="日" * 60, opt_out="noai: 'noai' in Comment")
    told = dict(credentials_words(said))
    assert told["Version of the model"] == f"{'x' * 40}…"
    assert told["Rights"] == "日" * 60, "a script without spaces breaks anywhere"
    assert told["AI training"] == "its maker asks that it not be used to train AI (noai: 'noai' in Comment)"
