"""Answers of the analyses as plain numbers and text, with their sentences: what JSON files and the API hold.

No picture is in them.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from attribution_core.analyses.artwork.lesson import WithAndWithout
from attribution_core.analyses.artwork.standing import LISTED, Standing
from attribution_core.analyses.artwork.survey import Survey
from attribution_core.analyses.memorization.verdict import Verdict
from attribution_core.credentials.read import Credentials
from attribution_core.reports.wording.artwork import lesson_sentence, standing_sentence, survey_sentence
from attribution_core.reports.wording.credentials import UNPROVEN, credentials_words
from attribution_core.reports.wording.verdict import verdict_how, verdict_sentence


def verdict_dict(verdict: Verdict) -> dict[str, Any]:
    """A verdict on an image, the matched training image, and the nearest ones by position."""
    threshold, credit = verdict.threshold, verdict.credit
    return {
        "is_copy": verdict.is_copy,
        "similarity": float(verdict.similarity[0]),
        "encoder": verdict.encoder,
        "threshold": None if threshold is None else threshold.value,
        "threshold_precision": None if threshold is None else threshold.precision,
        "threshold_recall": None if threshold is None else threshold.recall,
        "copies": verdict.copies,
        "drop": {"size": verdict.drop.size, "after": verdict.drop.after},
        "n_training": verdict.n_training,
        "sentence": verdict_sentence(verdict),
        "how": verdict_how(verdict),
        "match": {
            "id": credit.id,
            "caption": credit.caption,
            "creator": credit.creator,
            "source": credit.source,
            "licence": credit.licence,
            "link": credit.link,
        },
        "nearest": [
            {"position": int(i), "similarity": float(s)}
            for i, s in zip(verdict.ids, verdict.similarity, strict=True)
        ],
    }


def credentials_dict(credentials: Credentials) -> dict[str, Any] | None:
    """What a picture's file says of itself, and the same in sentences; None if it says nothing."""
    if not credentials:
        return None
    manifest = credentials.manifest
    return {
        **asdict(credentials.ai),
        "creator": credentials.creator,
        "rights": credentials.rights,
        "opt_out": credentials.opt_out,
        "signature": manifest
        and {
            "state": manifest.state,
            "signer": manifest.signer,
            "source_types": list(manifest.source_types),
            "problem": manifest.problem,
        },
        "problem": credentials.problem,
        "says": [f"{what}: {value}" for what, value in credentials_words(credentials)],
        "means": UNPROVEN,
    }


def standing_dict(standing: Standing) -> dict[str, Any]:
    """An artist's images among all candidates of one query, and the strongest training images."""
    result = standing.attribution
    return {
        "artist": standing.artist,
        "verdict": standing_sentence(standing),
        "n_candidates": result.n_training,
        "n_training": standing.n_training,
        "share": standing.share,
        "share_low": standing.share_low,
        "share_high": standing.share_high,
        "lift": standing.lift,
        "named_first": standing.named_first,
        "pieces": [asdict(piece) for piece in standing.pieces],
        "strongest_training_images": [
            {
                "rank": int(result.rank[k]),
                "id": result.credits[k].id,
                "caption": result.credits[k].caption,
                "creator": result.credits[k].creator,
                "influence": float(result.influence[k]),
            }
            for k in standing.strongest[:LISTED]
        ],
    }


def survey_dict(survey: Survey) -> dict[str, Any]:
    """A survey's prompts, closest to the artist's work first."""
    return {
        "artist": survey.artist,
        "seed": survey.seed,
        "verdict": survey_sentence(survey),
        "prompts": [{"prompt": row.prompt, **standing_dict(row.standing)} for row in survey.ranked],
    }


def lesson_dict(result: WithAndWithout) -> dict[str, Any]:
    """Each prompt before and after the model learned from the artist's images."""
    return {
        "artist": result.artist,
        "seed": result.seed,
        "verdict": lesson_sentence(result),
        "risen": result.risen,
        "lesson": asdict(result.lesson),
        "prompts": [
            {"prompt": p.prompt, "before": standing_dict(p.before), "after": standing_dict(p.after)}
            for p in result.pairs
        ],
    }
