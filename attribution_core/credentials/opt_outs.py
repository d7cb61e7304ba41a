"""Whether a picture's file says that it must not be trained on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from attribution_core.common.images import RECIPE_KEY, RECIPE_PROPERTY, kind_of
from attribution_core.common.metadata import FileMetadata, read_metadata
from attribution_core.credentials.c2pa import TRAINING_MINING, Manifest, read_manifest
from attribution_core.errors import InvalidImageError, MissingDependencyError

TRAINING_USES = ("ai_generative_training", "ai_training", "data_mining")
"""Entries of a training-mining assertion that speak of a training set."""
_REFUSED = ("notAllowed", "constrained")
"""CAWG: without more information, "constrained" is to be treated as "notAllowed"."""
_PROHIBITED = re.compile(r"\bDMI-PROHIBITED[A-Z-]*", re.IGNORECASE)
_MARKER = re.compile(r"(?<!\w)no(?:image)?ai(?!\w)", re.IGNORECASE)
_RIGHTS = frozenset(
    {
        "Copyright",
        "Copyright Notice",
        "Special Instructions",
        "rights",
        "UsageTerms",
        "Instructions",
        "OtherConstraints",
        "TermsAndConditionsText",
    }
)
"""EXIF, IPTC-IIM, PNG and XMP texts on rights, in which plain sentences count."""
_AI = r"(?:generative[ -])?(?:AI/ML|AI|A\.I\.|ML|artificial intelligence|machine[ -]learning|LLMs?)"
_USE = (
    rf"(?:{_AI}(?: (?:models?|systems?|tools?))? training"
    rf"|train(?:ing)?(?: of)?(?: an?| any| your)? {_AI}(?: (?:models?|systems?|tools?))?"
    r"|machine[ -]learning|(?:text (?:and|&) )?data[ -]mining|TDM)(?!\w)"
)
_NEUTRAL = (
    r"(?:[ ,/]*\b(?:(?:this|these|the|my|any|our|it|image|photo|photograph|picture|work|artwork|art|content|file)s?"
    r"|be|uses?|used|copy|copied|reproduced?|scraped?|crawl|download|commercial|for|in|to|of|or|and|purposes?)\b)"
)
_GRANTED = r"(?:allowed|permitted|licensed|authori[sz]ed)"
_SENTENCES = re.compile(
    rf"\b(?:(?:(?:do|may|must|can|should|shall) )?not|cannot|never|don't|can't|mustn't)(?: {_GRANTED})?{_NEUTRAL}*"
    rf" (?:for|to|in)(?: (?:the|any|uses?|purposes?|in|of))* {_USE}"
    rf"|\bno (?:(?:uses?|permission|consent|licen[cs]e|rights?){_NEUTRAL}* )?{_USE}"
    r"(?! (?:(?:restriction|limit|limitation|objection|opt[- ]?out|reservation)s?|was|were|has|needed|involved)\b)"
    rf"|{_USE}{_NEUTRAL}*(?:[ ,:-]*\b(?:similar|technologies|rights?|is|are|strictly|expressly|explicitly)\b)*"
    rf"[ :-]*\b(?:prohibited|forbidden|disallowed|reserved|not {_GRANTED})\b",
    re.IGNORECASE,
)
"""What says in plain English that a picture must not be trained on. Between "not" and the training may stand only words
that turn nothing round, so that "not only for AI training" does not count."""
_ASIDE = re.compile(r"\([^()]*\)|[\"“”]")
_FALSE = frozenset({"", "0", "0.0", "false", "n", "no", "none", "null", "off"})
_TRUE = frozenset(
    {
        "1",
        "1.0",
        "true",
        "y",
        "yes",
        "on",
        "prohibited",
        "opted out",
        "opted-out",
        "notallowed",
        "constrained",
    }
)
_PROMPTS = frozenset(
    {"prompt", "parameters", "workflow", "AIPromptInformation", RECIPE_KEY, RECIPE_PROPERTY.partition(":")[2]}
)
"""Texts of image generators, in which the words would be part of a prompt."""
_LONGEST = 200  # characters that are quoted
_MAX_SEARCHED = 20_000_000
"""Bytes of a packet that cannot be parsed in which the words are looked for."""


@dataclass(frozen=True)
class Declared:
    """What a file declares. opt_out: "kind: what it says", "" if nothing. note: what could not be read, or ""."""

    opt_out: str = ""
    note: str = ""


def declared_in(data: bytes) -> Declared:
    """Look for an opt-out in a file: PLUS data mining, C2PA training-mining assertions, plain words, noai."""
    metadata = read_metadata(data)
    said = opt_out_in_metadata(metadata)
    if said:
        return Declared(said)
    notes = ["its XMP was not read: it is damaged, too long or has entities"] if metadata.unparsed else []
    try:
        said = opt_out_in_manifest(read_manifest(data, kind_of(data)))
    except (InvalidImageError, MissingDependencyError) as error:
        notes.append(f"its signed credentials were not read: {str(error).rstrip('.')}")
    return Declared(said, "" if said else "; ".join(notes))


def opt_out_in_metadata(metadata: FileMetadata) -> str:
    """Return what metadata says, "" if it does not.

    It is "data-mining: DMI-PROHIBITED...", "words: 'no AI training' in Copyright" or "noai: where it stands".
    """
    texts = dict(_texts(metadata))
    for text in texts.values():
        if found := _PROHIBITED.search(text):
            return f"data-mining: {found[0].upper()}"
    for name in sorted(_RIGHTS & texts.keys()):
        if words := _refusal(texts[name]):
            return f"words: '{words}' in {name}"
    for name, text in texts.items():
        if (marker := _MARKER.search(text)) or (
            (marker := _MARKER.fullmatch(name)) and text.strip().casefold() not in _FALSE
        ):
            return f"noai: '{marker[0].lower()}' in {name}"
    return _opt_out_in_packet(metadata.xmp) if metadata.unparsed else ""


def _refusal(text: str) -> str:
    """The words of a text on rights that forbid training on the picture, or ""."""
    plain = " ".join(_ASIDE.sub(" ", text).replace("’", "'").split())
    found = _SENTENCES.search(plain)
    return found[0][:_LONGEST] if found else ""


def _opt_out_in_packet(packet: bytes) -> str:
    """Look for the words in XMP that cannot be parsed, wherever they stand: better one image less than one too many."""
    # Without the zero bytes, UTF-16 and UTF-32 read as ASCII.
    text = packet[:_MAX_SEARCHED].replace(b"\0", b"").decode("utf-8", "replace")
    if found := _PROHIBITED.search(text):
        return f"data-mining: {found[0].upper()} in damaged XMP"
    if marker := _MARKER.search(text):
        return f"noai: '{marker[0].lower()}' in damaged XMP"
    return ""


def _texts(metadata: FileMetadata) -> Iterator[tuple[str, str]]:
    for name, values in metadata.properties.items():
        if name not in _PROMPTS:
            yield name, "; ".join(values)
    for name, text in metadata.texts.items():
        if name not in _PROMPTS:
            yield name, text


def opt_out_in_manifest(manifest: Manifest | None) -> str:
    """Return "c2pa: label, entry not allowed" for an opt-out in signed credentials, valid or not; "" without one."""
    for label, data in (manifest.assertions if manifest else {}).items():
        if not label.startswith(TRAINING_MINING):
            continue
        entries: Any = data.get("entries") if isinstance(data, dict) else None
        for name, entry in (entries if isinstance(entries, dict) else {}).items():
            use = entry.get("use") if isinstance(entry, dict) else None
            if str(name).partition(".")[2] in TRAINING_USES and use in _REFUSED:
                return f"c2pa: {label}, {name} {use}"
    return ""


def opt_out_in_cell(text: str) -> str:
    """Return "row: text" if a source's column on opting out says so: true, noai, DMI-PROHIBITED and the like."""
    plain = " ".join(text.split())
    refused = plain.casefold() in _TRUE or _MARKER.search(plain) or _PROHIBITED.search(plain)
    return f"row: {plain[:100]}" if refused and plain.casefold() not in _FALSE else ""
