"""A collection as Croissant 1.1 (MLCommons, 2026-01-29): JSON-LD that describes its files and their columns."""

from __future__ import annotations

import json
from typing import Any

from attribution_core.corpus.corpus import SIZE_COLUMNS
from attribution_core.corpus.licences import licence_url
from attribution_core.reports.exports.facts import TRAIN, CollectionFacts

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
_PARQUET = "application/x-parquet"
_RECORDS = "images"
_FILES = "training-files"
_ABOUT = {
    "id": "Unique name of the image.",
    "caption": "What the picture shows.",
    "creator": "Who made it.",
    "source": "Where it is from.",
    "licence": "Its own licence.",
    "link": "Where it can be found.",
    "width": "Width in px.",
    "height": "Height in px.",
}
# The context of the specification; it is fixed, and readers compare it with theirs.
_TERMS = (
    "annotation arrayShape citeAs column conformsTo containedIn dataBiases dataCollection equivalentProperty extract "
    "field fileProperty fileObject fileSet format includes isArray isLiveDataset jsonPath key md5 parentField path "
    "personalSensitiveInformation recordSet references regex repeated replace samplingRate separator source subField "
    "transform"
).split()
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{term: f"cr:{term}" for term in _TERMS},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
}


def croissant(facts: CollectionFacts) -> str:
    """JSON text. Its paths are those in the collection's folder, where it belongs."""
    licences = [licence_url(name) or name for name, _ in facts.counted("licence")]
    link, unstated = facts.said("link"), facts.without("licence")
    partly = f"Licences are not stated for {unstated:,} of {facts.images:,} images." if unstated else ""
    known = {
        "description": " ".join(filter(None, (facts.said("what"), partly))),
        "license": list(dict.fromkeys(licences)),
        "creator": {"@type": "Organization", "name": facts.said("provider")}
        if facts.said("provider")
        else None,
        "datePublished": facts.said("published"),
        "version": facts.said("version"),
        "citeAs": facts.said("cite"),
        "url": link if licence_url(link) else "",
    }
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": facts.name,
        **{key: value for key, value in known.items() if value},
        "distribution": [*_file_objects(facts), _file_set(facts)],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": _RECORDS,
                "name": _RECORDS,
                "description": f"{facts.images:,} training images, one a row.",
                "key": {"@id": f"{_RECORDS}/id"},
                "field": [_field("image"), *map(_field, facts.columns)],
            }
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _file_objects(facts: CollectionFacts) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileObject",
            "@id": file.path,
            "name": file.path,
            "contentUrl": file.path,
            "contentSize": f"{file.size} B",
            "encodingFormat": _PARQUET,
            "sha256": file.sha256,
        }
        for file in facts.files
    ]


def _file_set(facts: CollectionFacts) -> dict[str, Any]:
    folder = facts.corpus.path.relative_to(facts.layout.folder).as_posix()
    return {
        "@type": "cr:FileSet",
        "@id": _FILES,
        "name": _FILES,
        "description": "All files of training images, as one.",
        "encodingFormat": _PARQUET,
        "includes": f"{folder}/{TRAIN}-*.parquet",
    }


def _field(column: str) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": _FILES}, "extract": {"column": column}}
    kind = "sc:Integer" if column in SIZE_COLUMNS else "sc:URL" if column == "link" else "sc:Text"
    if column == "image":
        source |= {"transform": {"jsonPath": "bytes"}}
        kind = "sc:ImageObject"
    described = {"description": _ABOUT[column]} if column in _ABOUT else {}
    return {
        "@type": "cr:Field",
        "@id": f"{_RECORDS}/{column}",
        "name": column,
        **described,
        "dataType": kind,
        "source": source,
    }
