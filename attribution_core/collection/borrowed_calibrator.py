"""The shipped calibrator in a collection of somebody's own, where it was fitted for the same encoder."""

from __future__ import annotations

import shutil
from pathlib import Path

from attribution_core.common.cards import read_card
from attribution_core.scoring.calibrator import Calibrator
from attribution_core.settings import shipped

SHIPPED = shipped("pocket")
FITTED_ELSEWHERE = "fitted on another collection"


def borrow_calibrator(folder: Path, encoder: str) -> None:
    """Copy the shipped calibrator that was fitted for this encoder as it is; its card says that it is borrowed."""
    if (folder / "calibrator/card.json").exists():
        return
    for parts in (SHIPPED, *sorted((SHIPPED / "methods").glob("*"))):
        cards = [parts / name / "card.json" for name in ("calibrator", "mappers")]
        if not all(card.exists() for card in cards):
            continue
        fitted, mappers = (read_card(card.parent) for card in cards)
        if fitted.get("encoder") == encoder and mappers.get("kind") == "identity":
            calibrator = Calibrator.load(parts / "calibrator", encoder=encoder)
            shutil.rmtree(folder / "calibrator", ignore_errors=True)
            calibrator.save(
                folder / "calibrator", card={"note": f"{FITTED_ELSEWHERE}: the pocket collection"}
            )
            return


def calibrator_notice(folder: Path) -> str:
    """What to say of a collection's calibrator; "" where there is nothing to say."""
    if not (folder / "calibrator/card.json").exists():
        return (
            "no calibrator fits this encoder: attribute with --temperature, or put a fitted 'calibrator' "
            "folder into the collection."
        )
    note = str(read_card(folder / "calibrator").get("note", ""))
    return f"the calibrator was {note}; read the shares as relative to each other." if note else ""
