"""An artist's images among the candidates: ranks and shares against the whole sum, prompts, progress, bad input."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from attribution_core.analyses.artwork.nearest import nearest
from attribution_core.analyses.artwork.standing import (
    LARGEST,
    LISTED,
    Artwork,
    Candidates,
    Standing,
    embed,
    read_piece,
    would_be_credited,
)
from attribution_core.analyses.artwork.survey import (
    Survey,
    checked_prompts,
    close_prompts,
    survey,
)
from attribution_core.analyses.memorization.verdict import Memorization
from attribution_core.attribution.attributor import Added, Attributor
from attribution_core.collection.collection import Collection
from attribution_core.common.progress import Progress
from attribution_core.common.text import ordinal
from attribution_core.errors import CollectionMismatchError, InvalidImageError, InvalidInputError
from attribution_core.figures.artwork import beside_the_strongest, ranks_by_prompt, shares_by_prompt
from attribution_core.generation.generator import Generator
from attribution_core.reports.as_dict import standing_dict, survey_dict
from attribution_core.reports.wording.artwork import (
    nearest_sentence,
    place_words,
    standing_sentence,
    survey_sentence,
)
from tests.support.fakes import copying_collection, fake_collection, shape_image
from tests.support.tiny_pipeline import make_pocket_like

N = 120
SEEDS = st.lists(st.integers(0, 5000), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return fake_collection(tmp_path_factory.mktemp("artwork") / "shapes", n=N)


@pytest.fixture(scope="module")
def attributor(collection: Collection) -> Attributor:
    return Attributor(collection)


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return Generator.open(make_pocket_like(tmp_path_factory.mktemp("artwork") / "generator"), "cpu")


def artwork(*seeds: int, artist: str = "Ada") -> Artwork:
    return Artwork(artist, tuple(shape_image(s) for s in seeds), tuple(f"piece {s}" for s in seeds))


def asked(attributor: Attributor, query: int, *seeds: int, top: int = 20) -> Standing:
    return would_be_credited(attributor, shape_image(query), embed(attributor, artwork(*seeds)), top)


@given(query=st.integers(0, 5000), seeds=SEEDS, top=st.sampled_from([1, 5, 40, N]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ranks_and_shares_are_those_of_the_whole_sum(
    attributor: Attributor, collection: Collection, query: int, seeds: list[int], top: int
) -> None:
    told = asked(attributor, query, *seeds, top=top)
    q = collection.mappers.map_query(attributor.encoder.encode([shape_image(query)]))[0].astype(np.float64)
    corpus = attributor.embed([collection.corpus.image(i) for i in range(N)]) @ q
    mine = attributor.embed([shape_image(s) for s in seeds]) @ q
    weight = np.exp(np.concatenate([corpus, mine]) / collection.calibrator.temperature_)
    exact = weight / weight.sum()
    assert told.n_training == N and told.attribution.n_training == N + len(seeds)
    assert [p.number for p in told.pieces] != [] and sorted(p.number for p in told.pieces) == list(
        range(1, len(seeds) + 1)
    )
    assert [p.influence for p in told.pieces] == sorted((p.influence for p in told.pieces), reverse=True)
    for p in told.pieces:
        assert p.title == f"piece {seeds[p.number - 1]}"
        assert p.low - 5e-5 <= exact[N + p.number - 1] <= p.high + 5e-5  # similarities are float32, over 0.02
        ahead = int((corpus > mine[p.number - 1] + 1e-5).sum()) + int(
            (mine > mine[p.number - 1] + 1e-5).sum()
        )
        level = int(
            (np.abs(corpus - mine[p.number - 1]) <= 1e-5).sum()
            + (np.abs(mine - mine[p.number - 1]) <= 1e-5).sum()
        )
        assert p.rank_low <= ahead + level and ahead + 1 <= p.rank_high
        assert p.rank_low <= p.rank <= p.rank_high
    assert told.share == pytest.approx(exact[N:].sum(), abs=1e-4)
    assert told.share_low - 1e-12 <= told.share <= told.share_high + 1e-12 <= 1 + 1e-9
    listed = sum(float(told.attribution.influence[k]) for k in told.strongest)
    assert told.share + listed + told.attribution.rest == pytest.approx(1, abs=1e-9)
    assert len(told.strongest) == min(top, N)


def test_a_copy_of_the_query_is_named_first(attributor: Attributor) -> None:
    told = asked(attributor, 4001, 4001, 7)
    assert told.best.title == "piece 4001" and (told.best.rank, told.best.rank_low, told.best.rank_high) == (
        1,
        1,
        1,
    )
    sentence = standing_sentence(told)
    assert sentence.startswith(("Yes", "Perhaps"))
    assert sentence.startswith("Yes") == told.attribution.stands_out == told.named_first
    assert "piece 4001" in sentence and "2 images together" in sentence


def test_an_image_that_is_a_training_image_says_so(attributor: Attributor, collection: Collection) -> None:
    told = asked(attributor, 17, 17)
    assert told.level and not told.named_first and "training set already" in standing_sentence(told)
    assert collection.corpus.credit(17).caption in standing_sentence(told)
    assert not asked(attributor, 4001, 4001).level


def test_something_else_is_not_credited(attributor: Attributor) -> None:
    night = Artwork("Ben", (Image.new("RGB", (64, 64), "black"),), ("night",))
    told = would_be_credited(attributor, shape_image(3), embed(attributor, night))
    assert told.best.rank > 60 and told.lift < 0.5
    assert standing_sentence(told).startswith("No: your closest, “night”")
    assert told.attribution.name_of(told.strongest[0]) in standing_sentence(told)


def test_lift_is_the_share_over_an_even_one(attributor: Attributor) -> None:
    told = asked(attributor, 5, 6, 7, 8)
    assert told.lift == pytest.approx(told.share / (3 / (N + 3)))


def test_known_rows_spare_the_encoder_and_must_fit(attributor: Attributor) -> None:
    candidates, plain = embed(attributor, artwork(9, 10)), [Added(shape_image(9)), Added(shape_image(10))]
    result = attributor.attribute(shape_image(1), 10, added=candidates.added)
    again = attributor.attribute(shape_image(1), 10, added=plain)
    assert np.array_equal(result.ids, again.ids) and np.allclose(result.influence, again.influence)
    with pytest.raises(CollectionMismatchError, match="row of shape"):
        attributor.attribute(shape_image(1), added=[Added(shape_image(9), row=np.ones(3, np.float32))])
    with pytest.raises(CollectionMismatchError, match="this method"):
        close_prompts(attributor, Candidates(artwork(9), np.ones((1, 3), np.float32)))


@pytest.mark.parametrize(
    ("count", "artist", "words"),
    [
        (0, "Ada", "no images"),
        (31, "Ada", "31 images, at most 30"),
        (1, " \n ", "name is empty"),
        (1, "x" * 81, "81 characters"),
    ],
)
def test_bad_artwork_is_one_sentence(count: int, artist: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        Artwork(artist, (shape_image(1),) * count, ("a",) * count)


def test_files_are_read_in_order_made_smaller_and_refused(tmp_path: Path) -> None:
    Image.new("RGB", (3000, 1500), "red").save(tmp_path / "large.png")
    shape_image(2).save(tmp_path / "small.png")
    read = Artwork.read([tmp_path / "large.png", str(tmp_path / "small.png")], "  Ada   L ")
    assert read.titles == ("large", "small") and read.artist == "Ada L"
    assert read.images[0].size == (LARGEST, LARGEST // 2)
    assert read.images[1].tobytes() == shape_image(2).tobytes()
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(InvalidImageError, match="broken"):
        Artwork.read([tmp_path / "small.png", tmp_path / "broken.png"], "Ada")
    Image.new("1", (12_000, 12_000)).save(tmp_path / "bomb.png")
    with pytest.raises(InvalidImageError, match="megapixels"):
        read_piece(tmp_path / "bomb.png")


def test_nothing_of_the_pictures_is_written_logged_or_shown(
    attributor: Attributor,
    generator: Generator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with caplog.at_level(logging.DEBUG):
        work = artwork(1, 2, artist="Secret Name")
        candidates = embed(attributor, work)
        told = would_be_credited(attributor, shape_image(3), candidates)
        rows = survey(attributor, generator, candidates, ["red cat"], steps=2)
    assert list(tmp_path.iterdir()) == []
    mine = [r for r in caplog.records if r.name.startswith("attribution")]
    assert mine == [] and "Secret" not in caplog.text and "piece 1" not in caplog.text
    for one in (work, candidates, candidates.added[0]):
        assert "<PIL" not in repr(one) and "array(" not in repr(one)
    text = json.dumps([standing_dict(told), survey_dict(rows)], allow_nan=False)
    assert "Secret Name" in text and "base64" not in text


def test_prompts_are_drawn_as_the_generator_draws_them(attributor: Attributor, generator: Generator) -> None:
    steps: list[Progress] = []
    told = survey(
        attributor,
        generator,
        embed(attributor, artwork(1, 2)),
        ["red cat", " blue  dog "],
        seed=5,
        steps=3,
        guidance=2.0,
        on_step=steps.append,
    )
    assert [r.prompt for r in told.rows] == ["red cat", "blue dog"]
    for row in told.rows:
        assert row.image.tobytes() == generator.generate(row.prompt, 5, 3, 2.0).image.tobytes()
        again = asked_image(attributor, row.image, 1, 2)
        assert row.standing.share == again.share
    assert [s.done for s in steps] == list(range(7)) and {s.total for s in steps} == {6}
    shares = [r.standing.share for r in told.ranked]
    assert shares == sorted(shares, reverse=True)
    assert f"“{told.ranked[0].prompt}” comes closest" in survey_sentence(told)
    _drawn(told)


def asked_image(attributor: Attributor, image: Image.Image, *seeds: int) -> Standing:
    return would_be_credited(attributor, image, embed(attributor, artwork(*seeds)))


def _drawn(told: Survey) -> None:
    shares, ranks = shares_by_prompt(told), ranks_by_prompt(told)
    mine = next(t for t in shares.data if t.name == "yours together")
    assert list(mine.x) == [r.standing.share for r in told.ranked[::-1]]
    closest = next(t for t in ranks.data if t.name == "your closest")
    assert list(closest.x) == [r.standing.best.rank for r in told.ranked[::-1]]
    word, line = shares.layout.annotations[0], shares.layout.shapes[0]
    assert word.text == "even share" and 10**word.x == pytest.approx(line.x0) == pytest.approx(2 / (N + 2))


def test_the_figure_holds_both_sides_and_words_of_others_as_words(attributor: Attributor) -> None:
    work = Artwork("A", (shape_image(3), shape_image(5)), ("<b>mine</b>", "other"))
    told = would_be_credited(attributor, shape_image(3), embed(attributor, work))
    figure = beside_the_strongest(told, 4)
    mine, training = figure.data[0], figure.data[1]
    assert sorted(mine.x) == sorted([told.share, *(p.influence for p in told.pieces)])
    assert sorted(training.x, reverse=True) == [
        float(told.attribution.influence[k]) for k in told.strongest[:4]
    ]
    assert "<b>mine" not in figure.to_json() and "&lt;b" in figure.to_json()


def test_what_on_step_raises_ends_the_work(attributor: Attributor, generator: Generator) -> None:
    def stop(step: Progress) -> None:
        if step.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        survey(attributor, generator, embed(attributor, artwork(1)), ["red cat"], steps=9, on_step=stop)
    assert generator.lock.acquire(timeout=1)
    generator.lock.release()


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ([], "no prompt"),
        (["", "  "], "no prompt"),
        ([str(k) for k in range(21)], "21 prompts"),
        (["x" * 501], "501 characters"),
    ],
)
def test_bad_prompts_are_one_sentence(prompts: list[str], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        checked_prompts(prompts)


def test_prompts_come_once_and_without_spaces() -> None:
    assert checked_prompts([" a  b", "", "a b", "c"]) == ("a b", "c")


def test_close_prompts_are_captions_of_the_nearest(attributor: Attributor, collection: Collection) -> None:
    found = close_prompts(attributor, embed(attributor, artwork(17)), 3)
    assert found[0] == collection.corpus.credit(17).caption and len(found) == len(set(found)) == 3


def test_places_are_words(attributor: Attributor, collection: Collection, generator: Generator) -> None:
    assert [ordinal(k) for k in (1, 2, 3, 4, 11, 12, 13, 21, 70, 112, 1203)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "70th", "112th", "1,203rd")
    ]
    assert place_words(70, 7769) == "70th of 7,769 sources"
    candidates = embed(attributor, artwork(17, 4001))
    found = nearest(attributor, candidates)
    assert [(one.position, one.title, one.same) for one in found[:1]] == [(17, "piece 17", True)]
    assert nearest_sentence(found[0]).startswith("Your “piece 17” looks the same as the training image")
    assert not found[1].same and nearest_sentence(found[1]).startswith("The training image most like")
    told = survey(attributor, generator, candidates, ["red cat"], steps=2)
    sentence, best = survey_sentence(told), told.rows[0].standing.best
    assert "“red cat”" in sentence and f"would {'only ' if best.rank > LISTED else ''}be" in sentence
    assert f"of {N + 2} sources (yours included)" in sentence
    with pytest.raises(CollectionMismatchError, match="this method"):
        nearest(attributor, Candidates(artwork(9), np.ones((1, 3), np.float32)))


def test_a_match_is_weak_only_where_it_is_known_to_be_too_far_for_a_copy(tmp_path: Path) -> None:
    collection = copying_collection(tmp_path / "shapes", N)
    copies, attributor = Memorization(collection, "cpu"), Attributor(collection)
    noise = Image.effect_noise((64, 64), 90).convert("RGB")
    candidates = embed(attributor, Artwork("Ada", (noise, shape_image(17)), ("noise", "piece")))
    found = nearest(attributor, candidates, copies)
    assert [(one.title, one.is_weak) for one in found] == [("piece", False), ("noise", True)]
    assert "the match is weak" not in nearest_sentence(found[0])
    assert "the match is weak" in nearest_sentence(found[1])
    assert not any(one.is_weak for one in nearest(attributor, candidates)), (
        "nobody asked whether it is a copy"
    )
