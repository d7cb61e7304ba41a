"""Cards, checksums, and writes that are whole or not at all."""

import hashlib
import json

import pytest
import torch

from attribution_core.common.cards import read_card, verify_files, write_card
from attribution_core.common.files import atomic_path, sha256_file, write_json_atomic
from attribution_core.common.tensors import read_tensors
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


def test_card_round_trip_and_every_kind_of_damage(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"abc")
    write_card(tmp_path, {"what": "test", "files": ["w.bin"]})
    card = read_card(tmp_path)
    assert card["files"] == {"w.bin": hashlib.sha256(b"abc").hexdigest()}
    verify_files(tmp_path)
    (tmp_path / "w.bin").write_bytes(b"abd")
    with pytest.raises(CheckpointError, match=r"w\.bin.*differs"):
        verify_files(tmp_path)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(CheckpointError, match="missing"):
        verify_files(tmp_path)
    with pytest.raises(CheckpointError, match=r"w\.bin"):
        write_card(tmp_path, {"files": ["w.bin"]})


def test_card_with_given_checksums_is_kept_and_none_is_fine(tmp_path):
    write_card(tmp_path, {"files": {"far.bin": "00"}})
    assert read_card(tmp_path)["files"] == {"far.bin": "00"}
    write_card(tmp_path, {"what": "no files"})
    verify_files(tmp_path)


def test_card_that_points_outside_of_its_folder_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(b"x")
    folder = tmp_path / "inner"
    write_card(folder, {"files": {"../secret": sha256_file(tmp_path / "secret")}})
    with pytest.raises(CheckpointError, match="outside"):
        verify_files(folder)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "\xff"])
def test_damaged_cards_name_the_file(tmp_path, text):
    (tmp_path / "card.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=r"card\.json"):
        read_card(tmp_path)


def test_missing_card_and_missing_folder_differ(tmp_path):
    with pytest.raises(CheckpointError, match=r"has no card\.json"):
        read_card(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        read_card(tmp_path / "none")


class Evil:
    """An object whose unpickling runs code."""

    def __reduce__(self):
        return (print, ("ran",))


def test_read_tensors_takes_tensors_and_refuses_the_rest(tmp_path, capsys):
    torch.save({"a": torch.arange(3.0)}, tmp_path / "good.pth")
    assert read_tensors(tmp_path / "good.pth")["a"].tolist() == [0.0, 1.0, 2.0]
    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "bad.pth").write_bytes(b"not a checkpoint")
    (tmp_path / "empty.pth").write_bytes(b"")
    for name in ("evil.pth", "bad.pth", "empty.pth", "missing.pth"):
        with pytest.raises(CheckpointError, match=name):
            read_tensors(tmp_path / name)
    assert capsys.readouterr().out == ""
