"""The record of the stages says what each was made from, and nothing of the machine or of stages that are gone."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pocket.build import DOIT_CONFIG, STAGES, Record

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / DOIT_CONFIG["dep_file"]).read_text(encoding="utf-8")


def test_it_has_the_stages_that_there_are_and_their_inputs() -> None:
    record = json.loads(TEXT)
    made_from = {name: kept["deps:"] for name, kept in record.items()}
    assert made_from == {stage.name: sorted(stage.made_from) for stage in STAGES}


def test_of_a_file_it_keeps_the_checksum_alone() -> None:
    for name, kept in json.loads(TEXT).items():
        files = {key: value for key, value in kept.items() if not key.endswith(":")}
        assert set(files) == set(kept["deps:"]), name
        assert all(re.fullmatch("[0-9a-f]{32}", value) for value in files.values()), name


def test_writing_it_again_changes_nothing() -> None:
    assert Record().encode(json.loads(TEXT)) == TEXT
