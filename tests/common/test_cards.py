"""Cards: round trips, every kind of damage, and nothing outside of their folder."""

import hashlib

import pytest

from attribution_core.common.cards import read_card, verify_files, write_card
from attribution_core.common.files import sha256_file
from attribution_core.errors import CheckpointError


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
