"""Checking a model: what is drawn, kept and resumed, and which training images came back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attribution_core.analyses.memorization.model_check import (
    CheckSettings,
    as_prompts,
    check_model,
    training_captions,
)
from attribution_core.analyses.memorization.verdict import Memorization
from attribution_core.collection.collection import Collection
from attribution_core.common.estimates import proportion
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import AttributionError, CheckpointError, InvalidInputError
from attribution_core.generation.generator import GeneratedImage
from attribution_core.generation.noise_signal import NoiseSignal
from attribution_core.generation.recipe import Recipe
from attribution_core.generation.table import Defaults
from attribution_core.reports.model_check import ModelCheck
from attribution_core.reports.wording.model_check import SIGNAL_MEANS
from tests.support.fakes import copying_collection, fake_collection, shape_image


class Reciter:
    """Draws the training image of the captions that it was made to learn, and something black for all others."""

    title, defaults, adapter, pipeline = "fake", Defaults(2, 3.0), None, None

    def __init__(self, learned: dict[str, int], sha256: str = "1" * 64, stop_after: int = 10**9) -> None:
        self.learned, self.sha256, self.left, self.drawn = learned, sha256, stop_after, 0

    def generate_batch(
        self, prompts: Sequence[str], seeds: Sequence[int], steps: Any, guidance: Any, batch: int
    ) -> list[GeneratedImage]:
        if self.left < len(prompts):
            raise KeyboardInterrupt
        self.left -= len(prompts)
        self.drawn += len(prompts)
        return [
            GeneratedImage(
                shape_image(self.learned[p]) if p in self.learned else Image.new("RGB", (64, 64), "black"),
                Recipe(p, seed, generator="fake", generator_sha256=self.sha256),
                noise_signal=NoiseSignal((0.5 + seed, 1 / 3)),
            )
            for p, seed in zip(prompts, seeds, strict=True)
        ]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return copying_collection(tmp_path_factory.mktemp("check") / "shapes", 32)


def settings(collection: Collection, seeds: int = 2, *texts: str) -> CheckSettings:
    return CheckSettings(as_prompts(collection.corpus, texts or PLANTED + MATCHED), seeds)


PLANTED = ("red circle", "green circle", "blue circle", "orange circle")
MATCHED = ("red square", "green square", "blue square", "orange square")
LEARNED = {caption: k for k, caption in enumerate(PLANTED)}


def test_planted_repeats_come_back_and_matched_captions_do_not(
    collection: Collection, tmp_path: Path
) -> None:
    images = list(
        check_model(Reciter(LEARNED), Memorization(collection), settings(collection), tmp_path / "out")
    )
    own = {p: [i.is_own_copy for i in images if i.prompt.text in p] for p in (PLANTED, MATCHED)}
    planted, matched = (proportion(np.array(own[p])) for p in (PLANTED, MATCHED))
    assert (planted.value, matched.value) == (1.0, 0.0) and planted.low > matched.high
    check = ModelCheck.of(images, collection, "fake", trained_here=True)
    assert {one.credit.id for one in check.came} == {f"shape/{k:04d}" for k in range(4)}
    assert all((one.images, one.own) == (2, 2) for one in check.came)
    assert dict((name, count) for name, count, _ in check.makers) == {"Ada": 2, "Ben": 1, "Cleo": 1}
    told = json.loads(check.to_json())
    assert "8 of 16 images are most likely copies, of 4 training images." in told["verdict"]
    assert told["rates"][0]["copies"]["value"] == 0.5 and told["rates"][0]["prompts"] == 8
    assert told["shares_by_creator"] and all(one["share"] > 0 for one in told["came_back"])
    assert told["scan"]["items"][0]["noise_signal"]["steps"][1] == 1 / 3, "kept to the last digit"
    page = check.to_html()
    precise = "of what was called a copy was one."
    assert precise in page.split("How do we know?")[0] and SIGNAL_MEANS in page
    assert "<script" not in page and "shape" not in page.split("<h2>")[0] and "95% intervals" in page


def test_without_a_word_that_it_was_trained_here_there_are_no_shares(
    collection: Collection, tmp_path: Path
) -> None:
    asked = settings(collection, 1, "red circle", "a house")
    images = list(check_model(Reciter(LEARNED), Memorization(collection), asked, tmp_path))
    check = ModelCheck.of(images, collection, "<b>fake</b>", trained_here=False)
    assert not check.shares and check.came[0].share is None and "There are no shares" in check.to_html()
    assert "<b>fake" not in check.to_html()
    assert [(r.name, r.images) for r in check.rates] == [("training captions", 1), ("other prompts", 1)]


def test_a_kill_loses_one_batch_at_most_and_the_rest_is_not_drawn_again(
    collection: Collection, tmp_path: Path
) -> None:
    asked, checker = settings(collection, 3), Memorization(collection)
    with pytest.raises(KeyboardInterrupt):
        list(check_model(Reciter(LEARNED, stop_after=8), checker, asked, tmp_path))
    seen: list[tuple[int, int]] = []
    second = Reciter(LEARNED)
    images = list(check_model(second, checker, asked, tmp_path, lambda p: seen.append((p.done, p.resumed))))
    assert second.drawn == 16 and len(images) == 24
    assert seen[0] == (8, 8) and seen[-1] == (24, 8)
    third = Reciter(LEARNED)
    again = list(check_model(third, checker, asked, tmp_path))
    assert third.drawn == 0
    assert [i.made.image.tobytes() for i in again] == [i.made.image.tobytes() for i in images]
    assert [i.made.noise_signal for i in again] == [i.made.noise_signal for i in images]


def test_a_folder_takes_no_images_of_another_model_or_other_settings(
    collection: Collection, tmp_path: Path
) -> None:
    checker, asked = Memorization(collection), settings(collection, 1, "red circle")
    list(check_model(Reciter({}), checker, asked, tmp_path / "out"))
    for generator, other, words in (
        (Reciter({}, "2" * 64), asked, "another model"),
        (Reciter({}), settings(collection, 2, "red circle"), "another seeds"),
        (Reciter({}), settings(collection, 1, "blue circle"), "another prompts"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            list(check_model(generator, checker, other, tmp_path / "out"))
    (tmp_path / "out/settings.json").write_text("{")
    with pytest.raises(CheckpointError, match="is damaged"):
        list(check_model(Reciter({}), checker, asked, tmp_path / "out"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="holds other files"):
        list(check_model(Reciter({}), checker, asked, tmp_path / "other"))
    with pytest.raises(InvalidInputError, match="is a file"):
        list(check_model(Reciter({}), checker, asked, tmp_path / "other/notes.txt"))


def test_a_damaged_image_is_named(collection: Collection, tmp_path: Path) -> None:
    asked = settings(collection, 1, "red circle")
    list(check_model(Reciter({}), Memorization(collection), asked, tmp_path))
    (file,) = (tmp_path / "images").iterdir()
    file.write_bytes(b"no image")
    with pytest.raises(CheckpointError, match="delete it, and it is drawn again"):
        list(check_model(Reciter({}), Memorization(collection), asked, tmp_path))


def test_nothing_is_written_where_it_cannot_be_told(collection: Collection, tmp_path: Path) -> None:
    plain = fake_collection(tmp_path / "plain", 16)
    with pytest.raises(InvalidInputError, match="no encoder that tells copies"):
        list(check_model(Reciter({}), Memorization(plain), settings(plain, 1, "cat"), tmp_path / "out"))
    inversion = Reciter({})
    inversion.adapter = SimpleNamespace(token="<toy>")  # type: ignore[assignment]
    with pytest.raises(InvalidInputError, match="no prompt contains '<toy>'"):
        list(check_model(inversion, Memorization(collection), settings(collection), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seeds": 0}, "seeds is 0"),
        ({"seeds": 1001}, "seeds is 1001"),
        ({"prompts": ()}, "no prompt"),
        ({"steps": 0}, "steps must be"),
        ({"guidance": float("nan")}, "guidance must be"),
    ],
)
def test_settings_out_of_range_are_refused(collection: Collection, given: dict[str, Any], words: str) -> None:
    with pytest.raises(AttributionError, match=words):
        CheckSettings(**{"prompts": as_prompts(collection.corpus, ["a cat"]), **given})


def test_captions_are_drawn_by_lot_each_once(collection: Collection, tmp_path: Path) -> None:
    corpus = collection.corpus
    few = training_captions(corpus, 3)
    assert len(set(few)) == 3 and set(few) <= set(corpus.column("short_caption"))
    assert few == training_captions(corpus, 3) != training_captions(corpus, 3, seed=1)
    assert len(training_captions(corpus, 10_000)) == len(set(corpus.column("short_caption")))
    (prompt,) = as_prompts(corpus, ["red circle", "red circle"])
    assert prompt.captioned == tuple(
        i for i, caption in enumerate(corpus.column("short_caption")) if caption == "red circle"
    )
    with pytest.raises(InvalidInputError, match="captions is 0"):
        training_captions(corpus, 0)
    Corpus.write(tmp_path / "train-core.parquet", [{"image": None}])
    with pytest.raises(InvalidInputError, match="has a caption"):
        training_captions(Corpus.open(tmp_path), 2)
