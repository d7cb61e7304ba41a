"""What a generated picture says of its making: properties of the IPTC Photo Metadata Standard 2025.1, as XMP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from attribution_core.common.images import RECIPE_BYTES, RECIPE_PROPERTY
from attribution_core.common.xmp import MAX_WRITTEN, packet

_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = _SOURCE_TYPES + "trainedAlgorithmicMedia"
"""Digital source type of a picture that a trained model made."""
COMPOSITE = _SOURCE_TYPES + "compositeSynthetic"
"""Digital source type of a picture with a generated one among its parts."""
_TERMS = frozenset(
    (
        "algorithmicMedia algorithmicallyEnhanced composite compositeCapture compositeSynthetic "
        "compositeWithTrainedAlgorithmicMedia computationalCapture dataDrivenMedia digitalArt digitalCapture "
        "digitalCreation humanEdits minorHumanEdits negativeFilm positiveFilm print screenCapture softwareImage "
        "trainedAlgorithmicMedia virtualRecording"
    ).split()
)
"""IPTC's vocabulary of digital source types as of October 2024, with retired terms."""
_NAMES = {
    "source_type": "DigitalSourceType",
    "system": "AISystemUsed",
    "version": "AISystemVersionUsed",
    "prompt": "AIPromptInformation",
    "prompt_writer": "AIPromptWriterName",
}


def source_term(source_type: str) -> str:
    """The term of IPTC's vocabulary that a digital source type is, as an address or alone; "" if it is none."""
    term = source_type.replace("https://", "http://", 1).removeprefix(_SOURCE_TYPES).rstrip("/")
    return term if term in _TERMS else ""


@dataclass(frozen=True)
class AiMetadata:
    """The IPTC properties on generated pictures; unknown ones are "".

    source_type: a URI of IPTC's vocabulary, or whatever a file has there. system, version: of the model. prompt_writer:
    who wrote the prompt, and by IPTC's definition not the picture's creator.
    """

    source_type: str = ""
    system: str = ""
    version: str = ""
    prompt: str = ""
    prompt_writer: str = ""

    @classmethod
    def read(cls, properties: Mapping[str, tuple[str, ...]]) -> AiMetadata:
        """Take them from XMP properties, as `xmp.properties_of` returns them."""
        return cls(**{field: (properties.get(name) or ("",))[0] for field, name in _NAMES.items()})

    def xmp(self, recipe: Mapping[str, Any] | None = None) -> bytes:
        """Write them as an XMP packet.

        recipe: written beside them for formats without text chunks, unless it is too long to be read back or to fit.
        """
        properties = {f"Iptc4xmpExt:{_NAMES[field]}": text for field, text in asdict(self).items()}
        if recipe:
            text = json.dumps(dict(recipe), ensure_ascii=False)
            with_recipe = packet({**properties, RECIPE_PROPERTY: text})
            if len(text) <= RECIPE_BYTES and len(with_recipe) <= MAX_WRITTEN:
                return with_recipe
        return packet(properties)
