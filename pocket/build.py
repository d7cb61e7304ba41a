"""The build of the pocket collection as doit stages with their inputs and outputs: `make pocket`.

`checkpoints/pocket/built.json` is bundled with the results; in it, doit stores the MD5 of all inputs of each
stage. So a fresh clone has nothing to do, and after a change only dependent stages are rebuilt. Every
stage resumes after an interruption. Code is deliberately not an input: a renamed variable must not cost a day of
training. `make pocket ARGS="forget train"` and then `make pocket` rebuilds that stage.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from doit.dependency import JSONCodec, MD5Checker, get_file_md5
from doit.tools import config_changed

from attribution_core.analyses.artwork.lesson import LEARNING
from attribution_core.collection import training_map
from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.cards import CARD_NAME
from attribution_core.evidence import memorization as memorization_evidence
from attribution_core.evidence.benchmark import FILE, SCALING
from pocket.benchmark import make as benchmark
from pocket.benchmark import plan as benchmark_plan
from pocket.corpus.sources import ALL_SOURCES
from pocket.encoders import clip, sscd
from pocket.encoders import report as encoder_report
from pocket.encoders.convert import PACKAGE
from pocket.evidence import learned, less_like, memorization, regions, scaling, second_opinion
from pocket.evidence import methods as evidence
from pocket.examples import EXAMPLES, file_name
from pocket.generator.commands import AUTOENCODER_SAMPLES, MINILM, SHIPPED, SUMS, TRIALS
from pocket.generator.denoiser import PLANTED_REPEATS, RECIPES
from pocket.generator.report import COLOURED_PATH, HISTORY, SHEET_PATH
from pocket.prompts import COLOURED, SHEET, STYLE_TUNING, TUNING, benchmark_prompts
from pocket.results.generator import JUDGED
from pocket.results.page import PAGE
from tools.screenshots import SHOTS

POCKET = Path("checkpoints/pocket")
ENCODER = "checkpoints/encoders/efficientnet-lite0/model.safetensors"


class ByContent(MD5Checker):  # type: ignore[misc]
    """Knows a file by its MD5 alone: its time on this machine would only make two equal records differ."""

    def check_modified(self, file_path: str, file_stat: os.stat_result, state: str) -> bool:
        """Whether a file is another than when `state` was recorded."""
        return get_file_md5(file_path) != state

    def get_state(self, dep: str, current_state: str | None) -> str:
        """What is recorded of a file."""
        return str(get_file_md5(dep))


class Record(JSONCodec):  # type: ignore[misc]
    """Writes the record in a fixed order, so that two editions can be compared."""

    def encode(self, data: dict[str, dict[str, Any]]) -> str:
        """Text of the whole record."""
        ordered = {
            name: {key: sorted(value) if key == "deps:" else value for key, value in kept.items()}
            for name, kept in data.items()
        }
        return json.dumps(ordered, indent=1, sort_keys=True) + "\n"


DOIT_CONFIG = {
    "backend": "json",
    "codec_cls": Record,
    "dep_file": str(POCKET / "built.json"),
    "check_file_uptodate": ByContent,
    "verbosity": 2,
}

_LAYOUT = CollectionLayout(POCKET)
_TRAIN = str(_LAYOUT.corpus / "train-core.parquet")
_CORPUS = [_TRAIN, *(str(_LAYOUT.corpus / f"exemplars-{part}.parquet") for part in ("core", "by-sa", "gpl"))]
_GENERATOR = str(_LAYOUT.generator / SUMS)
_INDEX = str(_LAYOUT.index() / "index.faiss")
_CALIBRATOR = str(_LAYOUT.calibrator() / "calibrator.safetensors")
_BENCHMARK = [
    str(_LAYOUT.benchmark / name)
    for name in (
        *(f"images-{part}.parquet" for part in benchmark.LICENCES),
        *(f"{split}.json" for split in benchmark_plan.SPLITS),
    )
]
_EVIDENCE, _SCALING = (str(_LAYOUT.evidence(name)) for name in (FILE, SCALING))
_MEMORIZATION = str(_LAYOUT.evidence(memorization_evidence.FILE))
_TRAINED = [f"checkpoints/encoders/{recipe.NAME}/model.safetensors" for recipe in (sscd, clip)]
_ENCODER_REPORT = str(encoder_report.REPORT)
_EXAMPLES = [str(_LAYOUT.examples / file_name(k, prompt)) for k, (prompt, _) in enumerate(EXAMPLES, 1)]


@dataclass(frozen=True)
class Stage:
    """One step of the build. settings: other inputs; a changed value causes a rebuild."""

    name: str
    doc: str
    modules: tuple[str, ...]
    made_from: list[str]
    makes: list[str]
    settings: Any = None

    def task(self) -> dict[str, Any]:
        """Return the stage as a doit task."""
        return {
            "basename": self.name,
            "doc": self.doc,
            "actions": [f"{sys.executable} -m {m}" for m in self.modules],
            "file_dep": self.made_from,
            "targets": self.makes,
            "uptodate": [config_changed({"settings": self.settings})],
        }


STAGES = (
    Stage(
        "corpus",
        "fetch, render, drop near-duplicates, split",
        ("pocket.corpus",),
        [],
        _CORPUS,
        [asdict(source) for source in ALL_SOURCES],
    ),
    Stage("encoders", "the encoder's weights as safetensors", ("pocket.encoders",), [], [ENCODER], PACKAGE),
    Stage(
        "sscd",
        "train the encoder that detects copies",
        ("pocket.encoders.sscd",),
        [_TRAIN],
        _TRAINED[:1],
        [asdict(sscd.SCHEDULE), sscd.TEMPERATURE, sscd.ENTROPY],
    ),
    Stage(
        "clip",
        "train the encoder of images and texts",
        ("pocket.encoders.clip",),
        [_TRAIN],
        _TRAINED[1:],
        [asdict(clip.SCHEDULE), MINILM],
    ),
    Stage(
        "encoder_report",
        "measure the encoders",
        ("pocket.encoders.report",),
        [ENCODER, *_TRAINED, *_CORPUS],
        [_ENCODER_REPORT],
        [encoder_report.ORIGINALS, list(encoder_report.CHANGES)],
    ),
    Stage(
        "train",
        "train autoencoder and UNet, write them as a diffusers pipeline",
        tuple(f"pocket.generator {step}" for step in ("autoencoder", "train", "export")),
        [_TRAIN],
        [_GENERATOR],
        [AUTOENCODER_SAMPLES, asdict(RECIPES[SHIPPED]), PLANTED_REPEATS, MINILM],
    ),
    Stage(
        "report",
        "measure the generator and draw its contact sheets",
        ("pocket.generator report",),
        [_GENERATOR, *_CORPUS, ENCODER, *_TRAINED],
        [str(SHEET_PATH), str(COLOURED_PATH), str(_LAYOUT.generator / HISTORY)],
        [SHEET, COLOURED],
    ),
    Stage(
        "benchmark",
        "tune on exemplars and generate images whose influence is known",
        ("pocket.benchmark",),
        [_GENERATOR, *_CORPUS],
        _BENCHMARK,
        [
            asdict(benchmark.Settings()),
            TUNING,
            STYLE_TUNING,
            *(benchmark_prompts(part, style) for part in ("train", "test") for style in (False, True)),
        ],
    ),
    Stage(
        "evidence",
        "learn mappers, index, fit temperatures, and evaluate them",
        ("pocket.evidence",),
        [*_BENCHMARK, *_CORPUS, ENCODER, *_TRAINED],
        [_INDEX, _CALIBRATOR, _EVIDENCE],
        [
            {name: [asdict(v) for v in variants] for name, variants in evidence.ENCODERS.items()},
            evidence.EPOCHS,
            evidence.BATCH,
            evidence.SHIPPED,
        ],
    ),
    Stage(
        "map",
        "lay out the training images in the plane",
        ("attribution_core map checkpoints/pocket",),
        [_INDEX],
        [str(_LAYOUT.map / name) for name in ("points.npy", CARD_NAME)],
        [training_map.NEIGHBOURS, training_map.APART],
    ),
    Stage(
        "scaling",
        "evaluate temperatures for other numbers of candidates",
        ("pocket.evidence.scaling",),
        [*_BENCHMARK, _TRAIN, _INDEX, _CALIBRATOR, *_TRAINED],
        [_SCALING],
        scaling.NUMBERS,
    ),
    Stage(
        "regions",
        "measure whether a region of an image finds what it shows",
        ("pocket.evidence.regions",),
        [*_CORPUS, ENCODER, *_TRAINED, _INDEX, _EVIDENCE],
        [str(regions.OUT)],
        asdict(regions.RegionSettings()),
    ),
    Stage(
        "second_opinion",
        "compare similarity with unlearning where the true source is known",
        ("pocket.evidence.second_opinion",),
        [_GENERATOR, *_CORPUS, *_TRAINED, _INDEX],
        [str(second_opinion.OUT)],
        [asdict(second_opinion.OpinionSettings()), TUNING],
    ),
    Stage(
        "learned",
        "let the generator learn from one held-out drawing, to show it",
        ("pocket.evidence.learned",),
        [_GENERATOR, *_CORPUS, *_TRAINED, _INDEX, _CALIBRATOR],
        [str(learned.OUT / CARD_NAME)],
        [learned.CHOSEN, learned.PROMPTS, asdict(LEARNING)],
    ),
    Stage(
        "memorization",
        "measure what the generator memorized, and how well that is detected",
        ("pocket.evidence.memorization",),
        [_GENERATOR, *_CORPUS, *_TRAINED[:1], _ENCODER_REPORT],
        [_MEMORIZATION],
        [asdict(memorization.Settings()), list(encoder_report.CHANGES)],
    ),
    Stage(
        "less_like",
        "measure how often a memorized prompt still gives a copy when it is drawn again, less like it",
        ("pocket.evidence.less_like",),
        [_GENERATOR, *_CORPUS, *_TRAINED[:1], _ENCODER_REPORT],
        [str(less_like.OUT)],
        list(less_like.SEEDS),
    ),
    Stage(
        "examples",
        "generate the example images of the app",
        ("pocket.examples",),
        [_GENERATOR],
        _EXAMPLES,
        EXAMPLES,
    ),
    Stage(
        "screenshots",
        "take the screenshots for README and docs",
        ("tools.screenshots",),
        [*_EXAMPLES, _CALIBRATOR, _INDEX, _EVIDENCE, _SCALING, _MEMORIZATION],
        [f"assets/screenshot-{name}.png" for name, *_ in SHOTS],
    ),
    Stage(
        "results",
        "write the tables in docs/results.md",
        ("pocket.results",),
        [
            str(_LAYOUT.generator / HISTORY),
            str(TRIALS),
            str(JUDGED),
            _EVIDENCE,
            _SCALING,
            _ENCODER_REPORT,
            _MEMORIZATION,
        ],
        [str(PAGE)],
    ),
)


def task_pocket() -> Iterator[dict[str, Any]]:
    """Yield all stages; doit determines which are out of date."""
    for stage in STAGES:
        yield stage.task()
