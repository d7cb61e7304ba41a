"""The command `evaluate`: recall and mean average precision of mappers on test cases, as tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def evaluate(
    cases: Annotated[list[Path], typer.Argument(help="Test cases: the release's feats/ENCODER/test_*.pth.")],
    training: Annotated[Path, typer.Option(help="Training features: the release's feats/ENCODER/laion_subset.pth.")],
    encoder: Annotated[str, typer.Option(help="Encoder of these features; see the command 'encoders'.")],
    mappers: Annotated[
        list[Path] | None, typer.Option(help="Mapper folder or released .pth; repeat it for more. Without: none.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for table.md, table.csv and table.json.")] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
) -> None:
    """Score encoders and mappers: recall@1/5/10/100 and mAP, with 95 % intervals over models."""
    from tqdm import tqdm

    from attribution_core.cards import atomic_path
    from attribution_core.encoders import ENCODERS
    from attribution_core.errors import unknown_name
    from attribution_core.evaluation import Score, to_csv, to_json, to_markdown
    from attribution_core.evaluation import evaluate as score
    from attribution_core.mappers import MapperPair
    from attribution_core.testcases import ReleasedTrainingFeatures, TestCase

    if encoder not in ENCODERS:
        raise unknown_name("encoder", encoder, ENCODERS)
    tests = [TestCase.from_release(path) for path in cases]
    features = ReleasedTrainingFeatures.open(training)
    pairs = [("pretrained", MapperPair.identity(tests[0].dim, encoder))]
    for path in mappers or []:
        released = path.suffix == ".pth"
        pair = MapperPair.from_release(path, encoder) if released else MapperPair.load(path, encoder)
        pairs.append((path.stem, pair))
    scores: list[Score] = []
    for name, pair in pairs:
        bar = tqdm(total=len(features), unit="image", desc=name, disable=not sys.stderr.isatty())

        def blocks(bar: tqdm = bar) -> Iterator[NDArray[np.float32]]:
            for block in features.blocks():
                yield block
                bar.update(len(block))

        with bar:
            scores += score(blocks, tests, pair, name, seed)
    typer.echo(to_markdown(scores), nl=False)
    for ending, text in (("md", to_markdown(scores)), ("csv", to_csv(scores)), ("json", to_json(scores))):
        if out is not None:
            with atomic_path(out / f"table.{ending}") as temporary:
                temporary.write_text(text, encoding="utf-8")
