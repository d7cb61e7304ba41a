"""The command `evaluate`: recall and mean average precision of mappers on test cases, as tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attribution_core.collection.collection import Collection
    from attribution_core.mapping.pair import MapperPair


def evaluate(
    cases: Annotated[
        list[Path],
        typer.Argument(
            help="Manifests, such as the release's, or features of tests as its extraction script writes them."
        ),
    ],
    training: Annotated[
        Path | None, typer.Option(help="Training features: the release's feats/ENCODER/laion_subset.pth.")
    ] = None,
    collection: Annotated[
        Path | None, typer.Option(help="Instead of --training: a collection whose images are encoded.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Encoder of the features; default: the collection's own.")
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of the manifests' images, as files or Parquet; may be repeated."),
    ] = None,
    mappers: Annotated[
        list[Path] | None,
        typer.Option(help="Mapper folder or released .pth; may be repeated. Default: none."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for table.md, table.csv and table.json.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed for the bootstrap.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Score encoders and mappers: recall@1/5/10/100 and mAP, with 95 % intervals over models."""
    from tqdm import tqdm

    from attribution_core.add_one_in.evaluation import Score, to_csv, to_json, to_markdown
    from attribution_core.add_one_in.evaluation import evaluate as score
    from attribution_core.cli.cases import encode_images, read_case
    from attribution_core.collection.collection import Collection
    from attribution_core.common.files import atomic_path
    from attribution_core.encoding.encoders import ENCODERS
    from attribution_core.errors import InvalidInputError, unknown_name
    from attribution_core.mapping.pair import MapperPair
    from attribution_core.release.features import ReleasedTrainingFeatures

    if (training is None) == (collection is None):
        raise InvalidInputError(
            "give either --training, a file of features, or --collection, a folder, but not both."
        )
    opened = None if collection is None else Collection.open(collection)
    name = encoder or (opened.encoder_name if opened else "")
    if name not in ENCODERS:
        raise (
            unknown_name("encoder", name, ENCODERS)
            if name
            else InvalidInputError("the encoder of the features is unknown; name it with --encoder.")
        )
    tests = [read_case(path, name, images or [], device) for path in cases]
    pairs = [("pretrained", MapperPair.identity(tests[0].dim, name)), *_learned_mappers(opened, name)]
    for path in mappers or []:
        released = path.suffix == ".pth"
        pairs.append(
            (path.stem, MapperPair.from_release(path, name) if released else MapperPair.load(path, name))
        )
    if opened is not None:
        rows = encode_images(opened.corpus, name, device)
        count, blocks = len(rows), lambda: iter([rows])
    else:
        features = ReleasedTrainingFeatures.open(training or Path())
        count, blocks = len(features), features.blocks
    scores: list[Score] = []
    for label, pair in pairs:
        with tqdm(total=count, unit="image", desc=label, disable=not sys.stderr.isatty()) as bar:
            scores += score(_with_progress(blocks, bar), tests, pair, label, seed)
    typer.echo(to_markdown(scores), nl=False)
    for ending, text in (("md", to_markdown(scores)), ("csv", to_csv(scores)), ("json", to_json(scores))):
        if out is not None:
            with atomic_path(out / f"table.{ending}") as temporary:
                temporary.write_text(text, encoding="utf-8")


def _learned_mappers(collection: Collection | None, encoder: str) -> list[tuple[str, MapperPair]]:
    """Return a collection's learned mappers for an encoder, by the names of its methods."""
    from attribution_core.mapping.pair import MapperPair

    if collection is None:
        return []
    pairs = [(name, MapperPair.load(collection.layout.mappers(name))) for name in collection.methods]
    return [(name, pair) for name, pair in pairs if pair.encoder == encoder and pair.kind != "identity"]


def _with_progress(
    blocks: Callable[[], Iterable[NDArray[np.float32]]], bar: Any
) -> Callable[[], Iterator[NDArray[np.float32]]]:
    def counted() -> Iterator[NDArray[np.float32]]:
        for block in blocks():
            yield block
            bar.update(len(block))

    return counted
