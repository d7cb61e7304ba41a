"""Attributions as JSON-LD in the vocabulary of schema.org.

An attribution is a `Dataset` about an `ImageObject`, the generated image. Its `mainEntity` is an `ItemList` of
`Observation`s, each about a training image (`ImageObject` with creator, credit line and licence) with the share as a
`PropertyValue`. A share is an estimate, so no training image is called a source (`isBasedOn`) of the generated one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attribution_core.attribution.groups import Groups
from attribution_core.attribution.result import Attribution
from attribution_core.corpus.credit import Credit
from attribution_core.corpus.licences import licence_url
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.ledger import TOP, Ledger
from attribution_core.reports.meaning import CAVEAT
from attribution_core.reports.report import Report
from attribution_core.reports.wording.attribution import attribution_how
from attribution_core.reports.wording.origin import ORIGIN

CONTEXT = "https://schema.org"
SHARE, SIMILARITY = "estimated influence", "similarity"


@dataclass(frozen=True)
class Listed:
    """A training image with its share; low and high bound the influence."""

    credit: Credit
    influence: float
    low: float
    high: float
    similarity: float


def report_json_ld(report: Report) -> str:
    """A report's attribution, with all listed training images."""
    about = image_node(report.title, report.recipe)
    about |= {"width": report.size[0], "height": report.size[1]}
    node = _result(about, report.attribution, len(report.attribution))
    return json_ld_text({**node, "dateCreated": report.made})


def ledger_json_ld(ledger: Ledger) -> str:
    """A ledger: each image with its strongest training images, and the sums by maker and by licence."""
    nodes = [_result(image_node(e.title, e.recipe), e.attribution, TOP) for e in ledger.entries]
    return json_ld_text({"@graph": [*nodes, *(_sums(groups, len(ledger.entries)) for groups in ledger.sums)]})


def _result(about: Mapping[str, Any], result: Attribution, most: int) -> dict[str, Any]:
    listed = _listed(result, most)
    node = attribution_node(about, listed, ORIGIN[result.made_by], shares=result.has_shares)
    how = attribution_how(result)
    told = ("influence", "interval", "similarity") if result.has_shares else ("similarity",)
    return {**node, "measurementTechnique": " ".join(how[kind] for kind in told)}


def _listed(result: Attribution, most: int) -> list[Listed]:
    columns = (result.influence, result.influence_low, result.influence_high, result.similarity)
    return [
        Listed(credit, *(float(column[k]) for column in columns))
        for k, credit in enumerate(result.credits[:most])
    ]


def image_node(name: str, recipe: Recipe | None) -> dict[str, Any]:
    """The generated image. recipe: what made it, where that is known."""
    described = {"description": f"Generated from the prompt “{recipe.prompt}”"} if recipe else {}
    return {"@type": "ImageObject", "name": name, **described}


def attribution_node(
    about: Mapping[str, Any], listed: Sequence[Listed], origin: str, *, shares: bool
) -> dict[str, Any]:
    """What is known of one generated image.

    about: of `image_node`. origin: what is known of its making. shares: whether they mean influence; else likeness
    alone is stated.
    """
    words = CAVEAT if shares else origin
    kind = "Estimated influence on" if shares else "Training images similar to"
    dataset = dataset_node(
        f"{kind} “{about['name']}”", words, (_observation(one, shares=shares) for one in listed)
    )
    return {**dataset, "about": about}


def dataset_node(name: str, description: str, observations: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A list of observations with a name."""
    items = [
        {"@type": "ListItem", "position": place, "item": one} for place, one in enumerate(observations, 1)
    ]
    return {
        "@type": "Dataset",
        "name": name,
        "description": description,
        "mainEntity": {"@type": "ItemList", "numberOfItems": len(items), "itemListElement": items},
    }


def _observation(one: Listed, *, shares: bool) -> dict[str, Any]:
    similarity = {"@type": "PropertyValue", "name": SIMILARITY, "value": one.similarity}
    similarity |= {"minValue": -1, "maxValue": 1}
    measured = [_share(one.influence, one.low, one.high), similarity] if shares else [similarity]
    return {
        "@type": "Observation",
        "observationAbout": training_image_node(one.credit),
        "variableMeasured": measured,
    }


def _share(value: float, low: float, high: float) -> dict[str, Any]:
    """As a `PropertyValue` whose minimum and maximum are the ends of its interval."""
    return {"@type": "PropertyValue", "name": SHARE, "value": value, "minValue": low, "maxValue": high}


def training_image_node(credit: Credit) -> dict[str, Any]:
    """A training image; what is not known is left out.

    A publisher of an icon set is an organisation. Of other makers it is not known whether they are people, so that they
    stay text.
    """
    organisation = {"@type": "Organization", "name": credit.creator}
    web = credit.link if credit.link.lower().startswith(("https://", "http://")) else ""
    address = licence_url(credit.licence)
    named = {"@type": "CreativeWork", "name": credit.licence} if credit.licence else ""
    known = {
        "identifier": credit.id,
        "name": credit.caption,
        "creator": organisation if credit.icon_set else credit.creator,
        "creditText": " / ".join(filter(None, (credit.creator, credit.source))),
        "license": address or named,
        "acquireLicensePage": web,
        "url": web,
        "width": credit.width,
        "height": credit.height,
    }
    return {"@type": "ImageObject", **{key: value for key, value in known.items() if value}}


def _sums(groups: Groups, images: int) -> dict[str, Any]:
    parts = [(g.name, g.influence, g.low, g.high) for g in groups.groups]
    parts.append(("everything else", groups.rest, groups.rest_low, groups.rest_high))
    name = f"Mean share by {groups.by} over {images:,} image{'s' * (images != 1)}"
    return dataset_node(name, CAVEAT, (sum_node(*part) for part in parts))


def sum_node(name: str, value: float, low: float, high: float) -> dict[str, Any]:
    """The share of a group, by its name."""
    about = {"@type": "Thing", "name": name}
    return {"@type": "Observation", "observationAbout": about, "variableMeasured": _share(value, low, high)}


def json_ld_text(node: Mapping[str, Any]) -> str:
    """A document of one node, or of several under "@graph"."""
    content = {"@context": CONTEXT, **node}
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
