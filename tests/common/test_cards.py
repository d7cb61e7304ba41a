"""Cards: round trips, every kind of damage, and nothing outside of their folder."""

import hashlib

import pytest

from attribution_core.common import cards
from attribution_core.common.cards import PartCard, load_card, load_part, read_card, verify_files, write_card
from attribution_core.common.files import sha256_file
from attribution_core.errors import CheckpointError, CollectionMismatchError


class ShelfCard(PartCard):
    KIND = "a shelf"
    width: int


SHELF = {"encoder": "a", "files": [], "width": 3}


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


def test_a_card_is_checked_against_its_model_and_keeps_keys_to_come(tmp_path):
    write_card(tmp_path, {**SHELF, "height": [1, 2]})
    assert load_card(tmp_path, ShelfCard) == ShelfCard(encoder="a", files={}, width=3)
    assert read_card(tmp_path)["height"] == [1, 2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": None}, r"card\.json' lacks width; is it a shelf\? Make it again\."),
        ({"width": None, "encoder": None}, "lacks encoder, width"),
        ({"width": "3"}, "has width '3', which should be a valid integer; make it again"),
        ({"width": True}, "has width True"),
        ({"encoder": ["a"]}, "has encoder"),
        ({"files": {"x": 1}}, r"has files\.x 1, which should be a valid string"),
        ({"width": "w" * 1000}, r"has width 'w{59}, which"),
    ],
)
def test_wrong_values_are_named_in_one_sentence(tmp_path, change, words):
    write_card(tmp_path, {key: value for key, value in {**SHELF, **change}.items() if value is not None})
    with pytest.raises(CheckpointError, match=words) as error:
        load_card(tmp_path, ShelfCard)
    assert "\n" not in str(error.value)


def test_a_part_belongs_to_its_encoder_and_its_files_are_verified(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"abc")
    write_card(tmp_path, {**SHELF, "files": ["w.bin"]})
    assert load_part(tmp_path, ShelfCard).width == load_part(tmp_path, ShelfCard, "a").width == 3
    with pytest.raises(CollectionMismatchError, match="is a shelf for encoder 'a', expected 'b'"):
        load_part(tmp_path, ShelfCard, "b")
    (tmp_path / "w.bin").write_bytes(b"abd")
    with pytest.raises(CheckpointError, match="differs"):
        load_part(tmp_path, ShelfCard)


def test_files_that_are_no_checksums_are_refused(tmp_path):
    (tmp_path / "card.json").write_text('{"files": ["w.bin"]}')
    with pytest.raises(CheckpointError, match="has files"):
        verify_files(tmp_path)


def test_a_large_file_is_read_once_per_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "_LARGE", 10)
    monkeypatch.setattr(cards, "NOTES", tmp_path / "notes")
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "data"
    file.write_bytes(b"0123456789")
    cards.write_card(folder, {"files": ["data"]})
    cards.verify_files(folder)
    (note,) = (tmp_path / "notes").iterdir()
    monkeypatch.setattr(cards, "_VERIFIED", {})  # as in another process
    with monkeypatch.context() as patch:
        patch.setattr(cards, "sha256_file", None)  # would raise if the file were read
        cards.verify_files(folder)
    note.write_bytes(b"\xff not a digest")
    monkeypatch.setattr(cards, "_VERIFIED", {})
    cards.verify_files(folder)  # reads the file
    file.write_bytes(b"0123456780")
    with pytest.raises(CheckpointError, match="differs"):
        cards.verify_files(folder)


def test_without_a_home_to_write_large_files_are_read_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "_LARGE", 1)
    (tmp_path / "a file").touch()
    monkeypatch.setattr(cards, "NOTES", tmp_path / "a file" / "notes")
    (tmp_path / "data").write_bytes(b"0123456789")
    cards.write_card(tmp_path, {"files": ["data"]})
    cards.verify_files(tmp_path)
