"""Writes never leave half a file behind, and checksums read all of it."""

import hashlib
import json

import pytest

from attribution_core.common.files import atomic_path, sha256_file, write_json_atomic
from attribution_core.errors import CheckpointError


def test_json_round_trip_keeps_unicode_and_makes_folders(tmp_path):
    path = tmp_path / "a" / "b.json"
    write_json_atomic(path, {"creator": "Zoë 猫", "n": 3})
    assert json.loads(path.read_text(encoding="utf-8")) == {"creator": "Zoë 猫", "n": 3}
    assert "猫" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("bad", [{"x": float("nan")}, {"x": float("inf")}, {"x": {1, 2}}, {"x": b"1"}])
def test_what_json_cannot_hold_is_refused_and_the_old_file_stays(tmp_path, bad):
    path = tmp_path / "card.json"
    write_json_atomic(path, {"old": True})
    with pytest.raises(CheckpointError, match="cannot be written as JSON"):
        write_json_atomic(path, bad)
    assert json.loads(path.read_text()) == {"old": True}
    assert [item.name for item in tmp_path.iterdir()] == ["card.json"]


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        assert path.read_bytes() == b"old"
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["weights.bin"]


def test_atomic_path_keeps_the_suffix_and_replaces(tmp_path):
    path = tmp_path / "index.faiss"
    path.write_bytes(b"old")
    with atomic_path(path) as temporary:
        assert temporary.suffix == ".faiss" and temporary.parent == tmp_path and temporary != path
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"


def test_atomic_path_with_nothing_written_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="nothing was written"), atomic_path(tmp_path / "x.bin"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_sha256_of_a_file_longer_than_a_block(tmp_path):
    data = bytes(range(256)) * 9000
    (tmp_path / "x").write_bytes(data)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(data).hexdigest()
    with pytest.raises(CheckpointError, match="cannot read"):
        sha256_file(tmp_path / "missing")
