"""Pictures are signed with a certificate made on the spot, and verified with the library's own reader."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import c2pa
import pytest

from attribution_core.common.images import kind_of, png_bytes
from attribution_core.credentials.c2pa import ESTIMATE, MIMES, Manifest, Signer, read_manifest, read_trust
from attribution_core.credentials.iptc import GENERATED
from attribution_core.credentials.read import Credentials, read_credentials
from attribution_core.errors import AttributionError, CheckpointError, InvalidImageError
from attribution_core.generation.generator import GeneratedImage
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.wording.credentials import credentials_words
from tests.support.certificates import Issued, issue
from tests.support.fakes import shape_image

MADE = GeneratedImage(shape_image(4), Recipe("cat", 3, generator="pocket/generator"))
TOP = {"id": "7", "caption": "red cat", "creator": "Ada", "influence": 0.31}
KNOWN = {"statement": "an estimate", "method": "own", "temperature": 0.05, "top": [TOP]}


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return issue(tmp_path_factory.mktemp("certificates"))


def sign(signer: Signer, kind: str = "png") -> bytes:
    return signer.sign(MADE.encode(kind, "Ada"), kind, title="cat", generator="pocket", estimate=KNOWN)


def libraries_own(data: bytes) -> tuple[str, dict[str, Any]]:
    with c2pa.Reader(MIMES[kind_of(data)], io.BytesIO(data)) as reader:
        return reader.get_validation_state(), reader.get_active_manifest() or json.loads(reader.json())


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_the_librarys_reader_verifies_what_we_sign(kind: str, issued: Issued) -> None:
    signed = sign(issued.signer, kind)
    state, manifest = libraries_own(signed)
    assert state == "Valid"
    assertions = {one["label"]: one["data"] for one in manifest["assertions"]}
    assert assertions[ESTIMATE] == KNOWN
    (action,) = assertions["c2pa.actions.v2"]["actions"]
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", GENERATED)
    assert not manifest.get("ingredients")
    # Metadata was written before, so the signature covers it.
    assert read_credentials(signed).ai.prompt_writer == "Ada"


def test_who_signed_is_trusted_only_if_somebody_on_the_list_vouches(issued: Issued, tmp_path: Path) -> None:
    signed = sign(issued.signer)
    for trust, state in (("", "valid"), (issued.trust, "trusted"), (issue(tmp_path).trust, "valid")):
        found = read_manifest(signed, "png", trust)
        assert found is not None and (found.state, found.signer, found.problem) == (state, "Ada, Tests", "")


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_tampering_is_found(kind: str, issued: Issued) -> None:
    signed = bytearray(sign(issued.signer, kind))
    state = {at: _state(bytes(signed), at, kind, issued) for at in range(-60, -20, 5)}
    assert set(state.values()) <= {"invalid", "damaged"} and "invalid" in state.values(), state


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_signature_covers_all_but_the_container_of_the_manifest(kind: str, issued: Issued) -> None:
    """A changed byte that no check finds is of the manifest's boxes or padding, and changes nothing that is shown."""
    signed = sign(issued.signer, kind)
    original = read_manifest(signed, kind, issued.trust)
    box = signed.index(b"jumb") - 4
    start, end = box - 16, box + int.from_bytes(signed[box : box + 4]) + 4  # with the segment around it
    unnoticed = []
    for at in range(3, len(signed), 11):
        changed = bytearray(signed)
        changed[at] ^= 0xFF
        try:
            found = read_manifest(bytes(changed), kind, issued.trust)
        except InvalidImageError:
            continue
        if found is not None and found.state != "invalid":
            unnoticed.append(at)
            assert found == original
    assert unnoticed and all(start <= at < end for at in unnoticed)
    assert read_manifest(signed + b"x", kind, issued.trust) != original


def _state(data: bytes, at: int, kind: str, issued: Issued) -> str:
    changed = bytearray(data)
    changed[at] ^= 1
    try:
        found = read_manifest(bytes(changed), kind, issued.trust)
    except InvalidImageError:
        return "damaged"
    assert found is not None and (found.state != "invalid" or found.problem)
    return found.state


def test_another_prompt_in_a_signed_picture_is_found(issued: Issued) -> None:
    signed = sign(issued.signer, "jpeg")
    assert signed.count(b">cat<") == 1
    found = read_credentials(signed.replace(b">cat<", b">dog<"), issued.trust)
    assert found.ai.prompt == "dog" and found.manifest is not None and found.manifest.state == "invalid"
    told = dict(credentials_words(found))
    assert "changed" in told["Signature"] and "31% “red cat” by Ada" in told["Estimate"]


@pytest.mark.parametrize("kind", ["es384", "ps256"])
def test_other_kinds_of_keys_sign_too(kind: str, tmp_path: Path) -> None:
    assert libraries_own(sign(issue(tmp_path, kind=kind).signer))[0] == "Valid"


def test_each_bad_file_gives_one_sentence(issued: Issued, tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    other = issue(tmp_path / "other")
    expired = issue(tmp_path / "expired", first_day=-9, last_day=-2)
    early = issue(tmp_path / "early", first_day=3)
    odd = issue(tmp_path / "odd", kind="k1")
    folder = Path(shutil.copytree(other.key.parent, tmp_path / "folder"))
    for certificate, key, words in (
        (tmp_path / "none.pem", issued.key, "cannot be read (No such file"),
        (folder, issued.key, "cannot be read (Is a directory"),
        (junk, issued.key, "certificate in"),
        (empty, issued.key, "empty"),
        (issued.certificate, junk, "without a password"),
        (issued.certificate, tmp_path / "none.pem", "No such file"),
        (issued.certificate, other.key, "is not that of the certificate"),
        (expired.certificate, expired.key, "expired on"),
        (early.certificate, early.key, "is valid from"),
        (odd.certificate, odd.key, "does not sign with"),
        (issued.root, issued.key, "is not that of"),
    ):
        with pytest.raises(CheckpointError, match=".") as error:
            Signer.of(certificate, key)
        assert words in str(error.value) and str(error.value).count(". ") == 0, str(error.value)
        assert "PRIVATE" not in str(error.value) and other.key.read_text()[30:60] not in str(error.value)
    with pytest.raises(CheckpointError, match="ATTRIBUTION_C2PA_KEY"):
        Signer.of(issued.certificate, None)
    with pytest.raises(CheckpointError, match="ATTRIBUTION_C2PA_CERTIFICATE"):
        Signer.of(None, issued.key)
    assert Signer.of(None, None) is None
    assert issued.key.name not in repr(issued.signer)


def test_a_certificate_without_the_root_behind_it_signs_and_is_not_trusted(tmp_path: Path) -> None:
    own = issue(tmp_path)
    alone = tmp_path / "alone.pem"
    text = own.certificate.read_text()
    alone.write_text(text[: text.index("-----END") + 26])  # nobody vouches for it
    found = read_manifest(sign(Signer(alone, own.key)), "png")
    assert found is not None and found.state == "valid"


def test_a_picture_without_credentials_and_a_bad_list_of_trust(tmp_path: Path) -> None:
    plain = png_bytes(shape_image(1))
    assert read_manifest(plain, "png") is None
    assert read_manifest(plain + b"c2pa jumb", "png") is None
    (tmp_path / "junk.pem").write_text("junk")
    for trust in (tmp_path / "junk.pem", tmp_path / "none.pem"):
        with pytest.raises(CheckpointError):
            read_trust(trust)


def test_damaged_credentials_are_one_sentence_and_the_rest_is_shown(issued: Issued) -> None:
    signed = sign(issued.signer, "webp")
    at = signed.index(b"jumb") + 40
    found = read_credentials(signed[:at] + b"\xff" * 60 + signed[at + 60 :])
    assert found.ai.prompt == "cat"
    told = dict(credentials_words(found))["Signature"]
    assert told and told.count(". ") <= 1


def test_hostile_manifests_are_shown_as_text() -> None:
    told = Manifest("valid", "<b>\u202eme", assertions={ESTIMATE: {"top": [{"influence": "x"}, 3, None]}})
    words = credentials_words(Credentials(manifest=told))
    assert [what for what, _ in words] == ["Signature"] and "\u202e" not in words[0][1]


def test_without_the_extra_the_command_that_installs_it_is_named(
    issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = sign(issued.signer)
    monkeypatch.setitem(__import__("sys").modules, "c2pa", None)
    with pytest.raises(AttributionError, match=r"attribution-explorer\[c2pa\]"):
        Signer.of(issued.certificate, issued.key)
    found = read_credentials(signed)
    assert found.manifest is None and "attribution-explorer[c2pa]" in found.problem
    assert found.ai.prompt == "cat"
