"""The command `calibrate`: fit a collection's temperature on tuned models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def calibrate(
    models: Annotated[
        Path, typer.Argument(help="Tuned models to fit on: a manifest, or a test case (.pth).")
    ],
    collection: Annotated[Path, typer.Option(help="Collection folder to calibrate.")],
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a manifest's images, as files or Parquet; may be repeated."),
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Other models to evaluate the temperature on.")] = None,
    listed: Annotated[
        int, typer.Option(help="Training images to list per query; the others are binned.")
    ] = 1000,
    out: Annotated[Path | None, typer.Option(help="Output folder; default: COLLECTION/calibrator.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite an existing calibrator.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Fit a collection's temperature on images of tuned models, whose exemplars are known."""
    from attribution_core.add_one_in.queries import add_one_in
    from attribution_core.cli.cases import read_case
    from attribution_core.collection.collection import Collection
    from attribution_core.collection.layout import CollectionLayout
    from attribution_core.common.cards import CARD_NAME
    from attribution_core.common.estimates import over_models
    from attribution_core.errors import InvalidInputError

    folder = out or CollectionLayout(collection).calibrator()
    if (folder / CARD_NAME).exists() and not replace:
        raise InvalidInputError(
            f"'{folder}' already holds a calibrator; give --replace to overwrite it, or another --out."
        )
    opened = Collection.open(collection)
    parts = [models] if test is None else [models, test]
    cases = [read_case(path, opened.encoder_name, images or [], device) for path in parts]
    queries = [add_one_in(case, opened.mappers, opened.index, listed) for case in cases]
    fitted = queries[0].fit(opened.encoder_name)
    details: dict[str, Any] = {
        "data": models.name,
        "models": len(cases[0].chunks),
        "queries": len(queries[0].model),
        "candidates": len(opened.index),
        "listed": listed,
    }
    words = [f"{folder}: temperature {fitted.temperature_:.6g} from {details['models']} models"]
    for name, part in zip(("fit", "test"), queries, strict=False):
        before, after = part.nll(fitted, 1.0), part.nll(fitted)
        figures = {
            "uncalibrated": over_models(before, part.model),
            "calibrated": over_models(after, part.model),
            "gain": over_models(before - after, part.model),
        }
        details[f"{name}: -log influence of the exemplars"] = {k: vars(v) for k, v in figures.items()}
        words.append(
            f"{name}: -log influence of the exemplars {figures['calibrated']}, uncalibrated "
            f"{figures['uncalibrated']}, gain {figures['gain']}"
        )
    fitted.save(folder, details)
    typer.echo("\n".join(words))
