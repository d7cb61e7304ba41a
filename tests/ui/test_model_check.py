"""The fold “Check this model” without a browser: what it draws, what it refuses, and its files."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from attribution_core.analyses.memorization.copies import Threshold
from attribution_core.errors import InvalidInputError
from attribution_core.reports.wording.model_check import SIGNAL_MEANS
from attribution_core.settings import Settings
from tests.support.fakes import copying_collection
from tests.support.tiny_pipeline import make_pocket_like
from ui.services.app import Services
from ui.services.memorization import MemorizationServices
from ui.services.model_check import CAPTIONS, MOST_IMAGES, OWN, CheckStep, ModelCheckServices
from ui.widgets import model_check_html as words


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> MemorizationServices:
    folder = copying_collection(tmp_path_factory.mktemp("check") / "shapes", 24).path
    make_pocket_like(folder / "generator")
    return MemorizationServices(Services.open(Settings(port=0, collection=folder)))


def test_captions_are_drawn_and_reported_image_by_image(own: MemorizationServices) -> None:
    services = ModelCheckServices(own)
    assert services.estimate(CAPTIONS, 2.0, "", 2) == (4, None)
    steps: list[CheckStep] = list(services.check(CAPTIONS, 2.0, "", 2))
    assert [len(step.images) for step in steps] == [0, 1, 2, 3, 4]
    assert steps[-1].progress.fraction == 1 and steps[1].progress.seconds_left is not None
    assert services.estimate(CAPTIONS, 2, "", 2)[1] is not None, "what was timed is known from then on"
    captions = set(own.services.collection.corpus.column("short_caption"))
    assert {image.prompt.text for image in steps[-1].images} <= captions
    told = json.loads(services.report(steps[-1].images, shares=True).to_json())
    assert told["scan"]["images"] == 4 and told["shares_by_creator"]
    page = words.result(services.report(steps[2].images))
    assert page.count("<figure>") == 2 * min(2, len(steps[2].images)) and "of 2 images" in page


def test_stopping_keeps_what_was_drawn(own: MemorizationServices) -> None:
    services = ModelCheckServices(own)
    going = services.check(OWN, 8, "a red cat\na blue dog", 3)
    kept: tuple[Any, ...] = ()
    for step in going:
        kept = step.images
        if len(kept) == 2:
            break
    going.close()
    assert len(services.report(kept).scan.items) == 2 and "below" in words.stopped(kept)
    assert "below" not in words.stopped(())


def test_how_often_a_copy_is_one_stands_beside_the_verdict(own: MemorizationServices) -> None:
    services = ModelCheckServices(own)
    *_, last = services.check(OWN, 1, "a red cat", 1)
    (image,) = last.images
    assert SIGNAL_MEANS in words.result(services.report([image]))
    threshold = Threshold(-1.0, 0.9, None, "drawings")
    copied = replace(image, verdict=replace(image.verdict, threshold=threshold))
    said = words.result(services.report([copied])).split("</div>")[0]
    assert said.endswith("<p>Where that was measured, 90% of what was called a copy was one.</p>")


def test_a_prompt_is_shown_as_text(own: MemorizationServices) -> None:
    services = ModelCheckServices(own)
    *_, last = services.check(OWN, 1, "<img src=x onerror=alert(1)>", 1)
    assert "<img src=x" not in words.result(services.report(last.images))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((CAPTIONS, 0, "", 2), "captions is 0"),
        ((CAPTIONS, 21, "", 2), "captions is 21"),
        ((CAPTIONS, 2.5, "", 2), "captions is 2.5"),
        ((CAPTIONS, 2, "", 0), "seeds is 0"),
        ((CAPTIONS, 2, "", float("nan")), "seeds is nan"),
        ((CAPTIONS, 2, "", True), "seeds is True"),
        ((OWN, 2, " \n ", 2), "no prompt"),
        ((OWN, 2, None, 2), "no prompt"),
        ((OWN, 2, "\n".join(map(str, range(21))), 2), "21 prompts"),
        ((OWN, 2, "x" * 501, 2), "501 characters"),
        ((OWN, 2, "\n".join(map(str, range(20))), 8), f"{MOST_IMAGES} are drawn"),
        (("others", 2, "", 2), "not from 'others'"),
    ],
)
def test_bad_values_are_refused_before_anything_is_drawn(
    own: MemorizationServices, given: tuple[Any, ...], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        ModelCheckServices(own).check(*given)


def test_without_images_there_is_no_report(own: MemorizationServices) -> None:
    with pytest.raises(InvalidInputError, match="nothing was drawn"):
        ModelCheckServices(own).report([])


def test_the_first_estimate_is_of_the_machine_that_measured(
    own: MemorizationServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Services.open(Settings(port=0))
    evidence = services.memorization_evidence
    assert evidence is not None and evidence.seconds is not None
    monkeypatch.setitem(services.__dict__, "memorization_evidence", replace(evidence, seconds=2.0))
    assert ModelCheckServices(MemorizationServices(services)).estimate(CAPTIONS, 3, "", 2) == (6, 12.0)
    assert "about 12 seconds" in words.estimate(6, 12.0) and "at most" in words.estimate(61, None)
