"""What results say in words: the numbers are those of the result, and every case has its own sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from attribution_core.analyses.artwork.nearest import Nearest
from attribution_core.analyses.memorization.verdict import returned
from attribution_core.corpus.credit import Credit
from attribution_core.evidence.memorization import MemorizationEvidence
from attribution_core.generation.noise_signal import NoiseSignal
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.as_dict import verdict_dict
from attribution_core.reports.wording.artwork import nearest_sentence
from attribution_core.reports.wording.noise_signal import RECITES, signal_how, signal_sentence
from attribution_core.reports.wording.verdict import (
    detection_how,
    precision_sentence,
    returned_sentence,
    verdict_how,
    verdict_sentence,
    verdict_title,
    verdicts_sentence,
)
from tests.support.evidence import told_evidence, write_evidence
from tests.support.sentences import long_sentences
from tests.support.verdicts import verdict


@pytest.fixture
def evidence(tmp_path: Path) -> MemorizationEvidence:
    found = MemorizationEvidence.open(write_evidence(tmp_path, told_evidence()))
    assert found is not None
    return found


def test_a_verdict_names_its_similarity_and_threshold() -> None:
    copy = verdict(0.95, 0.4, 0.3)
    assert "Most likely a copy" in verdict_title(copy)
    assert "0.950" in verdict_sentence(copy) and "from 0.800 on" in verdict_sentence(copy)
    assert "90% of what was called a copy was one" in verdict_how(copy)
    assert "90% of what was called a copy was one" in verdict_sentence(copy), "beside the verdict"
    assert precision_sentence(verdict(0.79, 0.4)) == "" == precision_sentence(verdict(0.95, threshold=None))
    assert "60% of all copies" in verdict_how(copy)
    assert "closest of 1,200" in verdict_sentence(verdict(0.79, 0.4))
    several = verdict(0.9, 0.85, 0.8, 0.2)
    assert "3 training images at once" in verdict_title(several)
    assert "need not be a copy of one" in verdict_sentence(several)


def test_a_signal_warns_only_where_the_like_of_it_was_measured(evidence: MemorizationEvidence) -> None:
    made = Recipe("cat", 1, 2, 3.5, generator_sha256="f" * 64)
    assert evidence.recites(made, NoiseSignal((1.0, 8.0)))
    assert not evidence.recites(made, NoiseSignal((6.0, 1.0)))
    for other in ({"steps": 3}, {"guidance": 3.0}, {"generator_sha256": "0" * 64}):
        assert not evidence.recites(replace(made, **other), NoiseSignal((1.0, 8.0)))


def test_a_signal_warns_while_an_image_is_drawn(tmp_path: Path) -> None:
    made = Recipe("cat", 1, 4, 3.5, generator_sha256="f" * 64)
    signal = told_evidence()["signal"] | {"early": {"steps": 2, "means": {"training": [1.0, 2.0]}}}
    found = MemorizationEvidence.open(write_evidence(tmp_path, told_evidence(steps=4, signal=signal)))
    assert found is not None
    assert not found.recites(made, NoiseSignal((9.0,))), "too soon"
    assert found.recites(made, NoiseSignal((1.0, 4.0)))
    assert not found.recites(made, NoiseSignal((1.0, 2.0)))
    assert found.recites(made, NoiseSignal((1.0, 4.0, 0.0))), "the first two count"
    assert not found.recites(made, NoiseSignal((1.0, 4.0, 0.0, 0.0))), "the finished image decides"


def test_without_a_threshold_no_verdict_is_claimed() -> None:
    bare = verdict(0.99, 0.4, threshold=None)
    assert verdict_title(bare).startswith("No verdict")
    assert "never measured" in verdict_sentence(bare) and "gives no verdict" in verdict_how(bare)
    assert verdicts_sentence([bare, bare]).startswith("No verdict on 2 images")


def test_json_holds_the_verdicts_numbers_and_words() -> None:
    copy = verdict(0.95, 0.4)
    stored = json.loads(json.dumps(verdict_dict(copy), allow_nan=False))
    assert stored["sentence"] == verdict_sentence(copy) and stored["how"] == verdict_how(copy)
    assert (stored["is_copy"], stored["copies"], stored["threshold"]) == (True, 1, 0.8)
    assert [n["position"] for n in stored["nearest"]] == [3, 4]
    assert verdict_dict(verdict(0.9, threshold=None))["threshold"] is None


def test_several_verdicts_are_counted() -> None:
    copy, other = verdict(0.95), verdict(0.5)
    assert verdicts_sentence([other]) == "The image is most likely no copy of a training image."
    assert verdicts_sentence([copy, other]) == "1 of 2 images is most likely a copy of a training image."
    assert verdicts_sentence([copy, copy, other]).startswith("2 of 3 images are")


def test_what_comes_back_is_named() -> None:
    twice = returned([verdict(0.9, first=5), verdict(0.9, first=5), verdict(0.95, first=8)])
    assert returned_sentence(twice) == "Of 3 seeds, 2 came back as copies of “red <b>circle</b>” by Ada."
    assert returned_sentence(returned([verdict(0.7)])).startswith(
        "No copy came back from 1 seed. Closest most often (once) was “red"
    )


def test_a_company_is_named_as_the_maker_of_an_icon_set() -> None:
    copy = verdict(0.95, 0.4)
    icon = replace(copy, credit=replace(copy.credit, creator="Google", icon_set=True))
    assert "“red <b>circle</b>”, icon set by Google" in verdict_sentence(icon)
    nearest = Nearest(Image.new("RGB", (8, 8)), "mine", 3, icon.credit, 0.5)
    assert "“red <b>circle</b>”, icon set by Google" in nearest_sentence(nearest)


def test_a_signal_is_placed_among_measured_prompts(evidence: MemorizationEvidence) -> None:
    words = signal_sentence(evidence.signals, NoiseSignal((3.0, 5.0)))
    assert "signal is 4.00" in words and "88% of images from other training prompts" in words
    assert "90% of pairs" in signal_how(evidence) and "2 steps and guidance 3.5" in signal_how(evidence)
    assert "of pairs" not in signal_how(None), "nothing is claimed where nothing was measured"


def test_rates_of_detection_are_those_measured(evidence: MemorizationEvidence) -> None:
    assert "90% are found to be copies" in detection_how(evidence)
    assert "what is called a copy, 90% came from such a prompt" in detection_how(evidence)


def test_with_all_names_and_numbers_no_sentence_is_too_long(evidence: MemorizationEvidence) -> None:
    name = Credit(short_caption="beverage box, fluent style", creator="Microsoft", icon_set=True)
    judged = [
        replace(one, credit=name)
        for one in (
            verdict(0.95, 0.4),
            verdict(0.79, 0.4),
            verdict(0.9, 0.85, 0.2),
            verdict(0.9, threshold=None),
        )
    ]
    said = [words(one) for one in judged for words in (verdict_title, verdict_sentence, verdict_how)]
    said += [returned_sentence(returned([one])) for one in judged]
    said += [verdicts_sentence(judged[:1]), verdicts_sentence(judged[3:]), detection_how(evidence)]
    said += [
        signal_sentence(evidence.signals, NoiseSignal((4.0,))),
        signal_how(evidence),
        signal_how(None),
        RECITES,
    ]
    assert long_sentences(said) == []
