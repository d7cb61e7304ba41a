"""All that a picture's file says of itself, for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from attribution_core.common.images import LIMITS, Limits, kind_of, read_file
from attribution_core.common.metadata import read_metadata
from attribution_core.common.xmp import MAX_WRITTEN
from attribution_core.credentials.c2pa import Manifest, read_manifest
from attribution_core.credentials.iptc import AiMetadata
from attribution_core.credentials.opt_outs import opt_out_in_manifest, opt_out_in_metadata
from attribution_core.errors import InvalidImageError, MissingDependencyError


@dataclass(frozen=True)
class Credentials:
    """What a file says of its picture; nothing of it is proven but what a trusted signature covers.

    ai: IPTC properties. creator, rights: from XMP. opt_out: as in `opt_outs`, or "". manifest: signed credentials.
    problem: a sentence on those that are there and cannot be read. xmp: the packet, to keep in a copy.
    """

    ai: AiMetadata = field(default_factory=AiMetadata)
    creator: str = ""
    rights: str = ""
    opt_out: str = ""
    manifest: Manifest | None = None
    problem: str = ""
    xmp: bytes = field(default=b"", repr=False)

    @property
    def kept_xmp(self) -> bytes:
        """The packet to write into a copy; of one that is too long, the IPTC properties alone."""
        return self.xmp if len(self.xmp) <= MAX_WRITTEN else self.ai.xmp()

    def __bool__(self) -> bool:
        """Whether there is anything to show."""
        return bool(
            self.ai != AiMetadata()
            or self.creator
            or self.rights
            or self.opt_out
            or self.manifest
            or self.problem
        )


NOTHING_SAID = Credentials()
"""Of a picture without any."""


def read_credentials(source: Path | str | bytes, trust: str = "", limits: Limits = LIMITS) -> Credentials:
    """Read what a picture says of itself.

    source: a path or an encoded file's bytes. trust: as in `read_manifest`. Raises `InvalidImageError` if the file
    cannot be read.
    """
    data = read_file(source, limits)
    metadata = read_metadata(data, limits)
    manifest, problem = None, ""
    try:
        manifest = read_manifest(data, kind_of(data), trust)
    except (InvalidImageError, MissingDependencyError) as error:
        problem = str(error)
    found = {name: "; ".join(texts) for name, texts in metadata.properties.items()}
    return Credentials(
        AiMetadata.read(metadata.properties),
        found.get("creator", "") or metadata.texts.get("Artist", ""),
        found.get("rights", "") or metadata.texts.get("Copyright", ""),
        opt_out_in_metadata(metadata) or opt_out_in_manifest(manifest),
        manifest,
        problem,
        metadata.xmp,
    )
