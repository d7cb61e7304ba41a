"""The command `train-mappers`: learn a mapper pair from a manifest of tuned models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from attribution_core.add_one_in.augmentations import Augmentation


def train_mappers(
    manifest: Annotated[
        Path, typer.Argument(help="Models to learn from: the released dataset/json, or your own.")
    ],
    validation: Annotated[Path, typer.Option(help="Manifest of other models, to select settings on.")],
    images: Annotated[
        list[Path],
        typer.Option(help="Folder of the manifests' images, as files or Parquet; may be repeated."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the mapper pair.")],
    encoder: Annotated[str, typer.Option(help="See the command 'encoders'.")] = "efficientnet-lite0",
    kind: Annotated[str, typer.Option(help="linear, channel or mlp.")] = "linear",
    augmentation: Annotated[
        Augmentation, typer.Option(help="Augmentation of the images to learn from.")
    ] = Augmentation.MILD,
    views: Annotated[int, typer.Option(help="Random views per image.")] = 2,
    rigid: Annotated[bool, typer.Option(help="Keep linear heads near a rigid transform.")] = True,
    hubness: Annotated[
        float,
        typer.Option(
            help="Weight of a correction for training images that are near to everything, such as 0.5; 0 is none."
        ),
    ] = 0.0,
    epochs: Annotated[int, typer.Option(help="Epochs per fit.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed gives the same pair.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Learn mappers from tuned models; run again after an interruption to resume."""
    from tqdm import tqdm

    from attribution_core.add_one_in.cases import read_manifest
    from attribution_core.add_one_in.image_store import ImageStore
    from attribution_core.add_one_in.train_mappers import RIGIDITIES, TEMPERATURES, encode_pairs
    from attribution_core.add_one_in.train_mappers import train_mappers as train
    from attribution_core.common.arrays import positive
    from attribution_core.encoding.encoders import load_encoder
    from attribution_core.mapping.fit import FitSettings
    from attribution_core.mapping.hubness import NEIGHBOURS

    FitSettings(kind=kind, epochs=epochs, seed=seed)
    if hubness:
        positive("hubness", hubness)
    entries = [read_manifest(path) for path in (manifest, validation)]
    store = ImageStore.open(*images)
    network, quiet = load_encoder(encoder, device), not sys.stderr.isatty()
    pairs = []
    for part, strength, n_views in zip(entries, (augmentation, Augmentation.NONE), (views, 1), strict=True):
        total = sum(len(e.exemplars) + sum(map(len, e.made.values())) for e in part)
        with tqdm(total=total, unit="image", disable=quiet) as bar:
            pairs.append(encode_pairs(network, part, store, strength, n_views, seed, bar.update))
    rigidities = RIGIDITIES if rigid else (0.0,)
    fits = len(TEMPERATURES) * (len(rigidities) if kind == "linear" else 1)
    with tqdm(total=fits * epochs, unit="epoch", disable=quiet) as bar:
        result = train(
            pairs[0],
            pairs[1],
            encoder,
            kind,
            TEMPERATURES,
            rigidities,
            lambda *_: bar.update(),
            out / "fits",
            epochs=epochs,
            seed=seed,
        )
    pair = result.pair
    if hubness:
        pair = pair.with_hubness_correction(pairs[1].synth, min(NEIGHBOURS, len(pairs[1].synth)), hubness)
    pair.save(
        out,
        {
            **result.card(),
            "augmentation": str(augmentation),
            "views": views,
            "seed": seed,
            "models": len(pairs[0].models),
        },
    )
    typer.echo(
        f"{out}: {kind} mappers of {encoder} from {len(pairs[0].models)} models; mean reciprocal rank "
        f"on validation {result.best.reciprocal_rank:.3f}, untrained {result.untrained:.3f}"
    )
