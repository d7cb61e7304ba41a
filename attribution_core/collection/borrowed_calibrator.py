"""Lends a bundled calibrator to a new collection that uses the same encoder."""

from __future__ import annotations

import shutil

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.cards import CARD_NAME, read_card
from attribution_core.scoring.calibrator import USUAL_TEMPERATURE, Calibrator
from attribution_core.settings import shipped

SHIPPED = shipped("pocket")
FITTED_ELSEWHERE = "fitted on another collection"


def borrow_calibrator(layout: CollectionLayout, encoder: str) -> None:
    """Copy the bundled calibrator that was fitted for an encoder's plain features; its card says where it is from."""
    target = layout.calibrator()
    if (target / CARD_NAME).exists():
        return
    bundled = CollectionLayout(SHIPPED)
    for method in bundled.methods:
        source, mappers = bundled.calibrator(method), bundled.mappers(method)
        if not all((part / CARD_NAME).exists() for part in (source, mappers)):
            continue
        if read_card(source).get("encoder") == encoder and read_card(mappers).get("kind") == "identity":
            calibrator = Calibrator.load(source, encoder=encoder)
            shutil.rmtree(target, ignore_errors=True)
            calibrator.save(target, card={"note": f"{FITTED_ELSEWHERE}: the pocket collection"})
            return


def calibrator_notice(layout: CollectionLayout) -> str:
    """Return a warning about a collection's calibrator, or ""."""
    calibrator = layout.calibrator()
    if not (calibrator / CARD_NAME).exists():
        return (
            "no calibrator fits this encoder, so attribute with a temperature: "
            f"--temperature {USUAL_TEMPERATURE} is near those fitted for the bundled encoders, and a smaller one gives "
            "the nearest images more of the whole. Read such shares as relative to each other, or put a fitted "
            "'calibrator' folder into the collection."
        )
    note = str(read_card(calibrator).get("note", ""))
    return f"the calibrator was {note}; read the shares as relative to each other." if note else ""
