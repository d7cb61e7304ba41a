"""The recipe that measures drawing a planted prompt again, on a tiny collection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attribution_core.corpus.corpus import Corpus
from attribution_core.generation.generator import Generator
from pocket.evidence import less_like
from tests.support.fakes import copying_collection, shape_rows
from tests.support.tiny_pipeline import make_pocket_like


def test_planted_prompts_are_drawn_with_the_same_and_with_other_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = shape_rows(8)
    for k, row in enumerate(rows):
        row["planted"] = "planted" if k < 3 else "control" if k < 6 else ""
        row["short_caption"] = f"red cat {k}, noto style"
    copying_collection(tmp_path, 8)
    Corpus.write(tmp_path / "corpus/train-core.parquet", rows)
    make_pocket_like(tmp_path / "generator")
    drawn: list[tuple[str, int]] = []
    batch = Generator.generate_batch

    def generate_batch(self: Generator, prompts: list[str], seeds: list[int], batch_size: int) -> object:
        drawn.extend(zip(prompts, seeds, strict=True))
        return batch(self, prompts, seeds, steps=2, batch_size=batch_size)

    monkeypatch.setattr(Generator, "generate_batch", generate_batch)
    less_like.main(tmp_path)
    told = json.loads((tmp_path / "evidence/less_like.json").read_text())
    same = [(f"red cat {k}, noto style", seed) for seed in (21, 22) for k in range(3)]
    assert drawn == [*same, *((prompt.split(",")[0], seed) for prompt, seed in same)]
    for name in ("the same words", "less like it"):
        assert (told[name]["prompts"], told[name]["images"]) == (3, 6)
        assert told[name]["rate"]["value"] == pytest.approx(told[name]["copies"] / 6, abs=1e-4)
