"""What a picture's file says of itself, in sentences."""

from __future__ import annotations

import re

from attribution_core.common.text import listing, one_line, rounded_percent
from attribution_core.credentials.c2pa import ESTIMATE, Manifest
from attribution_core.credentials.iptc import COMPOSITE, GENERATED, source_term
from attribution_core.credentials.read import Credentials

SAYS = "What this picture's file says"
"""Heading."""
UNPROVEN = "Anybody can write such notes into a file; only a trusted signature ties them to somebody."
UNSIGNED = "No signature was found in this file."
_NOT_FOR_TRAINING = "its maker asks that it not be used to train AI ({})"
_LONGEST = 500  # characters of one value
_TYPES = {
    source_term(GENERATED): "made by a trained model",
    source_term(COMPOSITE): "composed with a generated picture",
}
_LONGEST_TERM = 40  # characters of one that nobody knows
_NOT_IN_TERMS = re.compile(r"[^\w:/.#-]")
_LONG_WORD = re.compile(r"([!-~]{40})[!-~]+")
_STATES = {
    "trusted": "Signed by {signer}. The signature fits the picture, and the signer is on this installation's list of "
    "trusted certificates.",
    "valid": "Signed by {signer}. The signature fits the picture, but nobody on this installation's list of trusted "
    "certificates vouches for the signer.",
    "invalid": "Signed by {signer}, but the signature does not fit: the picture or its credentials were changed "
    "({problem}).",
}


def credentials_words(credentials: Credentials) -> list[tuple[str, str]]:
    """Return (what, value) of all that there is, as plain text; long values and words are cut."""
    ai, manifest = credentials.ai, credentials.manifest
    rows = [
        ("How it was made", _source_type(ai.source_type)),
        ("Model", ai.system),
        ("Version of the model", ai.version),
        ("Prompt", ai.prompt),
        ("Prompt written by", ai.prompt_writer),
        ("Creator", credentials.creator),
        ("Rights", credentials.rights),
        ("AI training", credentials.opt_out and _NOT_FOR_TRAINING.format(credentials.opt_out)),
    ]
    if manifest:
        rows += [
            ("Signature", signature_words(manifest)),
            ("How it was made, as signed", listing(map(_source_type, manifest.source_types or [""]))),
            ("Estimate", _estimate(manifest)),
        ]
    else:
        rows.append(("Signature", credentials.problem or UNSIGNED))
    return [(what, _short(value)) for what, value in rows if value]


def signature_words(manifest: Manifest) -> str:
    """Say who signed, whether the signature fits, and whether the signer is trusted."""
    signer = _short(manifest.signer) or "somebody without a name"
    return _STATES[manifest.state].format(signer=signer, problem=manifest.problem or "no reason given")


def _source_type(text: str) -> str:
    term = source_term(text)
    if term or not text:
        return _TYPES.get(term, term)
    quoted = _NOT_IN_TERMS.sub("?", text)
    return f"unknown term “{quoted[:_LONGEST_TERM]}{'…' * (len(quoted) > _LONGEST_TERM)}”"


def _estimate(manifest: Manifest) -> str:
    """The strongest training images of our own assertion, as far as it has the form that we write."""
    data = manifest.assertions.get(ESTIMATE)
    top = data.get("top") if isinstance(data, dict) else None
    named = []
    for row in top[:3] if isinstance(top, list) else []:
        share = row.get("influence") if isinstance(row, dict) else None
        if isinstance(share, (int, float)) and 0 <= share <= 1:
            name = str(row.get("caption") or row.get("id") or "")
            creator = str(row.get("creator") or "")
            named.append(f"{rounded_percent(share)} “{name}”{creator and f' by {creator}'}")
    return f"an estimate of influence, not a record: {listing(named)}" if named else ""


def _short(text: str) -> str:
    plain = _LONG_WORD.sub(r"\1…", one_line(text).strip())
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}…"
