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
_NAMES = {
    "source_type": "DigitalSourceType",
    "system": "AISystemUsed",
    "version": "AISystemVersionUsed",
    "prompt": "AIPromptInformation",
    "prompt_writer": "AIPromptWriterName",
}


@dataclass(frozen=True)
class AiMetadata:
    """The IPTC properties on generated pictures; unknown ones are "".

    source_type: a URI of IPTC's vocabulary. system, version: of the model. prompt_writer: who wrote the prompt, and by
    IPTC's definition not the picture's creator.
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

    @property
    def source_term(self) -> str:
        """The last part of the digital source type, such as "trainedAlgorithmicMedia"."""
        return self.source_type.rstrip("/").rpartition("/")[2]

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
