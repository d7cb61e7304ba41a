"""A report of one attributed image, with everything its numbers came from, as JSON and as one HTML file."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from attribution_core._version import __version__
from attribution_core.analyses.memorization.verdict import Verdict
from attribution_core.analyses.unlearning.second_opinion import SecondOpinion
from attribution_core.attribution.groups import SUMS, Groups, group
from attribution_core.attribution.result import Attribution
from attribution_core.collection.collection import Collection
from attribution_core.common.arrays import whole
from attribution_core.common.cards import CARD_NAME, read_card
from attribution_core.common.files import sha256_file
from attribution_core.common.images import data_uri
from attribution_core.evidence.benchmark import Evidence
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.meaning import LIMITS, MEANING
from attribution_core.reports.section import Section, StoredPart
from attribution_core.reports.thumbnails import thumbnail_uri
from attribution_core.reports.wording.attribution import attribution_how
from attribution_core.reports.wording.headline import headline
from attribution_core.reports.wording.joined import JoinedVerdict, joined_verdict
from attribution_core.reports.wording.reliability import reliability_of

LARGEST_QUERY = 1024
"""Longer side of the query in px; a smaller one stays as it is."""


@dataclass(frozen=True, eq=False)
class Report:
    """One attributed image with all that its numbers came from; see `make_report`.

    Attributes:
        title: Prompt or file name of the query.
        image: The query as it is shown, a data URI.
        size: Its width and height in px before it was made smaller for the report.
        recipe: What made it, where that is known.
        attribution: Influences, intervals, credits and the rest.
        thumbnails: Data URIs of the first training images, those that the HTML shows with a picture.
        sums: Influence summed by creator and by licence.
        collection: Name of the collection.
        method: Which of its methods attributed.
        verdict: What the analyses say of the image, joined.
        parts: Its stored parts with their checksums.
        sections: What other analyses add, a verdict say.
        reliability: How far the strongest share can be relied on, in one sentence; "" if it was not measured.
        made: When, ISO 8601 in UTC.
    """

    title: str
    image: str
    size: tuple[int, int]
    recipe: Recipe | None
    attribution: Attribution
    thumbnails: tuple[str, ...]
    sums: tuple[Groups, ...]
    collection: str
    method: str
    verdict: JoinedVerdict
    parts: tuple[StoredPart, ...]
    sections: tuple[Section, ...] = ()
    reliability: str = ""
    made: str = ""
    software: str = field(default=f"attribution-explorer {__version__}")

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers and text; "attribution" is what `Attribution.to_dict` gives.

        "thumbnails" are data URIs of its first images, in their order.
        """
        result = self.attribution
        return {
            "report": 1,
            "made": self.made,
            "software": self.software,
            "query": {
                "title": self.title,
                "image": self.image,
                "width": self.size[0],
                "height": self.size[1],
                "recipe": None if self.recipe is None else asdict(self.recipe),
                "made_by": str(result.made_by),
            },
            "collection": {
                "name": self.collection,
                "method": self.method,
                "encoder": result.encoder,
                "n_training": result.n_training,
                "fitted_temperature": result.fitted_temperature,
                "parts": [dict(vars(part)) for part in self.parts],
            },
            "intervals": str(result.kind),
            "attribution": result.to_dict(),
            "thumbnails": list(self.thumbnails),
            "headline": headline(result),
            "reliability": self.reliability,
            "verdict": asdict(self.verdict),
            "stands_out": result.stands_out,
            "effective_number": result.effective_number,
            "sums": [told.to_dict() for told in self.sums],
            "sections": [section.to_dict() for section in self.sections],
            "how": attribution_how(result),
            "meaning": list(MEANING),
            "limits": list(LIMITS),
        }

    def to_json(self) -> str:
        """Return `to_dict` as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)


def make_report(
    image: Image.Image,
    attribution: Attribution,
    collection: Collection,
    *,
    title: str,
    recipe: Recipe | None = None,
    shown: int = 12,
    sections: Sequence[Section] = (),
    copy: Verdict | None = None,
    opinion: SecondOpinion | None = None,
    made: datetime.datetime | None = None,
) -> Report:
    """Make the report of an attributed image.

    Args:
        image: The query.
        attribution: Of that image, over that collection, without added candidates.
        collection: Opened with the method that attributed.
        title: Prompt or file name.
        recipe: What made the image, where that is known.
        shown: Training images that the HTML shows with a picture; all that are listed stand in its table.
        sections: What other analyses add.
        copy: Whether the image is a copy; None where that was not looked for.
        opinion: The second opinion on it, where it was asked for.
        made: When; now by default.

    Raises:
        InvalidInputError: `shown` is below 1.
        CollectionMismatchError: The attribution is of another training set, or the collection has changed on the disk.
        CheckpointError: The collection's evidence is damaged.
    """
    collection.check_unchanged()
    shown = min(whole("shown", shown, 1), len(attribution))
    sums = tuple(group(attribution, collection.corpus, by) for by in SUMS)
    thumbnails = tuple(thumbnail_uri(collection.corpus, int(i)) for i in attribution.ids[:shown])
    moment = (made or datetime.datetime.now(datetime.UTC)).astimezone(datetime.UTC)
    return Report(
        title,
        data_uri(image, LARGEST_QUERY),
        image.size,
        recipe,
        attribution,
        thumbnails,
        sums,
        collection.name,
        collection.method,
        joined_verdict(attribution, copy, opinion),
        _parts(collection),
        tuple(sections),
        reliability_of(attribution, Evidence.open(collection.path)),
        moment.isoformat(timespec="seconds"),
    )


def _parts(collection: Collection) -> tuple[StoredPart, ...]:
    """The collection itself, then what it holds, each where it has a card."""
    layout, method = collection.layout, collection.method
    places = [("collection", collection.path), ("corpus", collection.corpus.path)]
    if layout.method(method) != collection.path:
        places.append(("method", layout.method(method)))
    places += [
        ("mappers", layout.mappers(method)),
        ("index", layout.index(method)),
        ("calibrator", layout.calibrator(method)),
    ]
    if collection.generator_path is not None:
        places.append(("generator", collection.generator_path))
    return tuple(_part(name, path) for name, path in places if (path / CARD_NAME).is_file())


def _part(name: str, folder: Path) -> StoredPart:
    card = read_card(folder)
    files, sources = card.get("files", {}), card.get("sources", [])
    versions = {
        str(s["package"]): str(s["version"])
        for s in (sources if isinstance(sources, list) else [])
        if isinstance(s, dict) and {"package", "version"} <= s.keys()
    }
    return StoredPart(
        name,
        str(card.get("what", "")),
        str(card.get("licence", "")),
        sha256_file(folder / CARD_NAME),
        {str(k): str(v) for k, v in files.items()} if isinstance(files, dict) else {},
        versions,
    )
