"""What is tracked: small enough to clone, vouched for by cards, and free of one machine's traces."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from attribution_core.common.cards import CARD_NAME

ROOT = Path(__file__).resolve().parents[2]
MB = 1_000_000


def tracked() -> list[Path]:
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60
        )
    except (OSError, subprocess.CalledProcessError):
        return []
    return [ROOT / name for name in done.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


FILES = tracked()
CARDS = sorted((ROOT / "checkpoints").rglob(CARD_NAME))
needs_git = pytest.mark.skipif(not FILES, reason="not a git checkout")


@needs_git
def test_no_file_is_over_50_mb_and_all_are_under_200_mb() -> None:
    sizes = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in FILES}
    assert {name: size for name, size in sizes.items() if size > 50 * MB} == {}
    # Weights of the next edition lie beside what ships until they take its place.
    next_edition = sum(size for name, size in sizes.items() if name.startswith("pocket/second_edition/"))
    assert next_edition < 32 * MB
    assert sum(sizes.values()) - next_edition < 200 * MB


@needs_git
def test_every_stored_weight_or_image_is_vouched_for_by_a_card() -> None:
    heavy = [
        path
        for path in FILES
        if path.is_relative_to(ROOT / "checkpoints")
        and path.suffix in {".safetensors", ".parquet", ".faiss", ".index", ".npz"}
    ]
    assert heavy
    unnamed = []
    for path in heavy:
        folder = next(parent for parent in path.parents if (parent / CARD_NAME).is_file())
        names = json.loads((folder / CARD_NAME).read_text(encoding="utf-8")).get("files", {})
        if path.relative_to(folder).as_posix() not in names:
            unnamed.append(path.relative_to(ROOT).as_posix())
    assert unnamed == []


@needs_git
def test_only_formats_that_run_no_code_are_stored() -> None:
    assert [p.name for p in FILES if p.suffix in {".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin"}] == []


@needs_git
def test_no_trace_of_one_machine() -> None:
    homes = [b"/" + name + b"/" for name in (b"root", b"work", b"Users", b"opt/pypi", b"opt/wheels")]
    pattern = re.compile(b"(?<![A-Za-z0-9_.~:/-])(?:" + b"|".join(map(re.escape, homes)) + b")")
    found = {
        path.relative_to(ROOT).as_posix(): match.group()
        for path in FILES
        if (match := pattern.search(path.read_bytes()))
    }
    assert found == {}


@needs_git
def test_licence_and_notices_are_there() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    card = json.loads((ROOT / "checkpoints/pocket/corpus/card.json").read_text(encoding="utf-8"))
    links = {source["link"] for source in card["sources"] if source["link"]}
    assert [link for link in sorted(links) if link not in notice] == []
