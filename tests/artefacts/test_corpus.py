"""The training images that ship: words, credits and licences, and nothing held out among them."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from pathlib import Path

import imagehash
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from attribution_core.common.cards import read_card, verify_files
from pocket.corpus import splits
from pocket.corpus.sources import STAMPS

CORPUS = Path(__file__).resolve().parents[2] / "checkpoints/pocket/corpus"


COLUMNS = [
    "id",
    "caption",
    "short_caption",
    "concept",
    "concept_label",
    "style",
    "group",
    "creator",
    "source",
    "source_version",
    "licence",
    "link",
    "width",
    "height",
    "part",
    "planted",
    "exemplar_set",
    "held_out",
]


@pytest.fixture(scope="module")
def rows() -> dict[str, list[dict[str, str]]]:
    return {
        path.stem: pq.read_table(path, columns=COLUMNS).to_pylist()
        for path in sorted(CORPUS.glob("*.parquet"))
    }


def of(rows: dict[str, list[dict[str, str]]], split: str) -> list[dict[str, str]]:
    return [r for name, part in rows.items() if name.startswith(split) for r in part]


def test_the_shipped_files_are_those_of_the_card(rows: dict[str, list[dict[str, str]]]) -> None:
    verify_files(CORPUS)
    card = read_card(CORPUS)
    assert card["images"] == sum(map(len, rows.values()))
    assert 8_000 <= card["images"] <= 17_000


def test_every_image_has_words_credit_and_licence(rows: dict[str, list[dict[str, str]]]) -> None:
    for row in (r for part in rows.values() for r in part):
        assert all(
            row[k]
            for k in (
                "id",
                "caption",
                "short_caption",
                "style",
                "creator",
                "source",
                "source_version",
                "licence",
                "link",
            )
        ), row
        assert "@" not in row["creator"], row
    ids = [r["id"] for part in rows.values() for r in part]
    assert len(ids) == len(set(ids))


def test_parts_keep_their_licences_apart(rows: dict[str, list[dict[str, str]]]) -> None:
    allowed = {
        "core": {"Apache-2.0", "MIT", "CC-BY-4.0", "Public Domain"},
        "by-sa": {"CC-BY-SA-4.0"},
        "gpl": {STAMPS.licence},
    }
    for name, part in rows.items():
        kind = name.split("-", 1)[1]
        assert {r["licence"] for r in part} <= allowed[kind]
        assert {r["part"] for r in part} == {kind}
    assert {r["part"] for r in of(rows, "train")} == {"core"}


def test_no_held_out_concept_is_trained_in_any_style(rows: dict[str, list[dict[str, str]]]) -> None:
    train, held = of(rows, "train"), of(rows, "exemplars")
    unseen = [r for r in held if r["held_out"] == "concept"]
    known = [r for r in held if r["held_out"] == "style"]
    assert len(unseen) >= 200
    assert len(known) >= 200
    trained = {r["concept"] for r in train if r["concept"]}
    assert not trained & {r["concept"] for r in unseen}
    assert {r["concept"] for r in known} <= trained
    pairs = {(r["concept"], r["style"]) for r in train}
    assert not pairs & {(r["concept"], r["style"]) for r in known}


def test_style_sets_are_held_out_whole(rows: dict[str, list[dict[str, str]]]) -> None:
    sets = defaultdict(list)
    for row in of(rows, "exemplars"):
        if row["exemplar_set"]:
            sets[row["exemplar_set"]].append(row)
    assert len(sets) >= 40
    assert all(8 <= len(s) <= 30 for s in sets.values()), {k: len(s) for k, s in sets.items()}
    train = of(rows, "train")
    creators, themes = {r["creator"] for r in train}, {f"{r['style']}: {r['group']}" for r in train}
    for name, members in sets.items():
        if name.startswith("creator: "):
            assert {f"creator: {r['creator']}" for r in members} == {name}
            assert name.removeprefix("creator: ") not in creators
        else:
            assert name not in themes


def test_forty_are_planted_and_forty_matched_in_style_and_theme(
    rows: dict[str, list[dict[str, str]]],
) -> None:
    train = of(rows, "train")
    kinds = {
        kind: Counter((r["style"], r["group"]) for r in train if r["planted"] == kind)
        for kind in ("planted", "control")
    }
    assert sum(kinds["planted"].values()) == 40
    assert kinds["planted"] == kinds["control"]
    card = read_card(CORPUS)["planted"]
    assert card["repeated"] == [r["id"] for r in train if r["planted"] == "planted"]
    assert card["controls"] == [r["id"] for r in train if r["planted"] == "control"]


def test_no_near_duplicate_pair_ships() -> None:
    rows = [
        row
        for path in sorted(CORPUS.glob("*.parquet"))
        for row in pq.read_table(path, columns=["id", "image"]).to_pylist()
    ]
    images = [Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB") for row in rows]
    hashes = np.array([int(str(imagehash.phash(i)), 16) for i in images], dtype=np.uint64)
    small = np.stack(
        [np.asarray(i.resize((32, 32), Image.Resampling.BOX), np.float32).ravel() for i in images]
    )
    pairs = []
    for i in range(len(images)):
        bits = np.unpackbits((hashes[i + 1 :] ^ hashes[i]).view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1)
        for j in np.flatnonzero(bits <= splits.HASH_BITS) + i + 1:
            # WebP changes both images a little: a pair must be clearly inside the threshold to count.
            if np.sqrt(np.square(small[i] - small[j]).mean()) < splits.PIXEL_RMS - 1.5:
                pairs.append(sorted((rows[i]["id"], rows[j]["id"])))
    kept = read_card(CORPUS)["near_duplicates"]["looked_at_and_kept"]
    assert sorted(pairs) == sorted(kept), "look at these pairs; list them in LOOKED_AT, or drop one of each"


def test_datasets_opens_the_parquet_with_decoded_images() -> None:
    datasets = pytest.importorskip("datasets")
    opened = datasets.load_dataset(
        "parquet",
        data_files=str(CORPUS / "exemplars-core.parquet"),
        split="train",
        cache_dir=None,
        streaming=True,
    )
    row = next(iter(opened))
    assert isinstance(opened.features["image"], datasets.Image)
    assert row["image"].size == (row["width"], row["height"]) == (128, 128)
