"""Stored files are those of their cards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attribution_core.common.cards import CARD_NAME, verify_files

ROOT = Path(__file__).resolve().parents[2]


CARDS = sorted((ROOT / "checkpoints").rglob(CARD_NAME))


@pytest.mark.parametrize("card", CARDS, ids=lambda p: p.parent.relative_to(ROOT).as_posix())
def test_stored_files_are_those_of_their_card(card: Path) -> None:
    verify_files(card.parent)
    assert json.loads(card.read_text(encoding="utf-8")), "an empty card says nothing"
