"""Words, tables and pictures of the tab My artwork; pictures are written into the page, so that no file is made."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from PIL import Image

from attribution_core.analyses.artwork.lesson import MARK, WithAndWithout
from attribution_core.analyses.artwork.standing import Standing
from attribution_core.analyses.artwork.survey import Survey
from attribution_core.common.images import data_uri, scaled_down
from attribution_core.common.text import percent
from attribution_core.corpus.corpus import Corpus
from attribution_core.reports.section import Fact, Section
from attribution_core.reports.thumbnails import thumbnail_uri
from attribution_core.reports.wording.artwork import standing_sentence
from ui.services.app import Query
from ui.services.artwork import Desk, Nearest
from ui.widgets.set_links import alike_link
from ui.widgets.status import status_line
from ui.widgets.tiles import tiles

PIECES = ["number", "title", "rank", "share %", "at least %", "at most %", "similarity", "your image"]
PROMPTS = [
    "prompt",
    "your share %",
    "at least %",
    "at most %",
    "times an even share",
    "rank of your closest",
    "of candidates",
    "your closest",
    "strongest training image %",
]
MOVED = [
    "prompt",
    "share before %",
    "share after %",
    "rank before",
    "rank after",
    "strongest training image before %",
    "strongest training image after %",
]
_THUMBNAIL, _PICTURE = 128, 256  # px
_PAIRS = 6  # of the artist's images that are shown beside the training image most like them

WHAT = (
    '<div class="headline spread"><h2>Would my work be credited?</h2><p>Drop in your own images. They join the '
    "training images as if the model had been trained on them, so you see where they would stand; and the model "
    "can learn from them for real, for a moment, so you see what changes.</p></div>"
)
PRIVACY = (
    "<details class='status'><summary>What happens to my images?</summary><p>Your browser sends them to this "
    "server, which writes each into its temporary folder while it arrives. The app reads it at once and deletes "
    "that file. From then on your images, and what is drawn from them, are in the server's memory only: they "
    "are not written to disk or into a log, no other visitor sees them, and they are not added to the "
    "collection. They are forgotten when you close or reload this page, when you press “Forget my artwork”, and "
    "at the latest an hour after you last dropped one. A report that you download holds your name, titles, "
    "ranks and shares, no picture.</p></details>"
)
LEARNING = (
    "<p class='status'>The generator is tuned on your images: for about a minute with a small one it learns a "
    f"new word, {MARK}, for them. Then it draws each prompt twice from the same noise, without and with what "
    "it learned. Others who generate wait meanwhile; afterwards the generator is exactly as before.</p>"
)
_KNOW = "<details class='status'><summary>How do we know?</summary><p>{}</p></details>"
_CAPTIONS = "<p class='status'>Under each picture: your share, and the place of your closest image.</p>"
HOW_CREDITED = _KNOW.format(
    "Your images pass through the same encoder and mappers as every training image, and all shares are computed anew "
    "with them among the candidates; they add up to 1. “At least” and “at most” are bounds of the search, not of the "
    "method. As far as this collection knows, its model did not learn from your images: a high rank here means that "
    "your work looks like this image in the way that influential images do, not that it was used. An even share is "
    "what each candidate would have if all had the same."
)
HOW_SURVEY = _KNOW.format(
    "Each prompt is drawn once, with this seed; another seed may stand closer or further. The shares are those of the "
    "first question, asked of each image drawn. Like every share here, they are estimates from similarity and no proof "
    "of cause."
)
HOW_LEARNED = _KNOW.format(
    "This is the test by which this app's shares are calibrated (Custom Diffusion and “add-one-in”, Wang, Efros, Zhu "
    "and Zhang, ICCV 2023), on your images: only the model's cross-attention and one new word are tuned, seed and "
    "noise are the same, so the difference between the two pictures comes from your images, and from the new word in "
    "the prompt. How far your share rises shows how much of an influence that is known to be there the method sees. A "
    "model trained on millions of images with yours among them would learn far less from you."
)


def headline(text: str, kind: str = "") -> str:
    """An answer: its first sentence large."""
    head, _, rest = text.partition(": ")
    head, rest = (head, rest) if rest and len(head) < 12 else ("", text)
    return (
        f'<div class="headline {kind}" role="status">{f"<h2>{html.escape(head)}</h2>" if head else ""}'
        f"<p>{html.escape(rest[:1].upper() + rest[1:])}</p></div>"
    )


def fine(share: float) -> str:
    """A share to three digits that matter, however small."""
    return f"{100 * share:.3g}%" if share < 0.9995 else percent(share)


def _figure(image: Image.Image, name: str, largest: int, note: str = "") -> str:
    words = f"<figcaption>{html.escape(note or name)}</figcaption>"
    return f'<figure><img src="{data_uri(image, largest)}" alt="{html.escape(name, quote=True)}">{words}</figure>'


def pieces(desk: Desk) -> str:
    """The images on the desk."""
    if not desk.images:
        return '<p class="status">No images yet.</p>'
    count = "1 image" if len(desk.images) == 1 else f"{len(desk.images)} images"
    shown = "".join(
        _figure(image, title, _THUMBNAIL) for image, title in zip(desk.images, desk.titles, strict=True)
    )
    # Many of them are scrolled, with the keyboard, too.
    scrolled = '<div class="pieces small" tabindex="0" role="region" aria-label="Your images">'
    return f"{status_line(f'{count}, in memory only:')}{scrolled}{shown}</div>"


def nearest(found: Sequence[Nearest], corpus: Corpus) -> str:
    """Each image of the artist beside the training image most similar to it, and one sentence about the first."""
    if not found:
        return ""
    credits = corpus.credits([one.position for one in found])
    first, title = credits[0], found[0].title
    by = f" by {first.creator}" if first.creator else ""
    name = first.caption or first.id
    sentence = f"The training image most like your work is “{name}”{by}: it is most like “{title}”."
    cells = "".join(
        '<div class="pair"><div>'
        + _figure(one.image, one.title, _THUMBNAIL)
        + "<figure>"
        + alike_link(
            credit,
            f'<img src="{thumbnail_uri(corpus, one.position)}" alt="training image: '
            f'{html.escape(credit.caption, quote=True)}">',
        )
        + f"<figcaption>{html.escape(credit.caption or credit.id)}; "
        f"{html.escape(credit.creator) or 'maker unknown'}; similarity {one.similarity:.2f}</figcaption></figure>"
        "</div></div>"
        for one, credit in zip(found[:_PAIRS], credits, strict=False)
    )
    return f'<p class="sentence" role="status">{html.escape(sentence)}</p><div class="pairs">{cells}</div>'


def about(query: Query | None) -> str:
    """What the first question is about."""
    if query is None:
        return status_line("There is no image yet: generate or bring one on the first tab.")
    small = scaled_down(query.image, _THUMBNAIL)
    return (
        f'<div class="about"><img src="{data_uri(small, _THUMBNAIL)}" alt=""><p class="status">The image shown now: '
        f"“{html.escape(query.title)}”</p></div>"
    )


def credited(standing: Standing, query: Query | None) -> str:
    """The answer to the first question."""
    return headline(standing_sentence(standing), "found" if standing.best.rank == 1 else "spread")


def credited_tiles(standing: Standing) -> str:
    """Its figures."""
    best, first = standing.best, standing.strongest[0]
    result, count = standing.attribution, len(standing.pieces)
    rank = f"{best.rank:,}"
    sure = (
        "certain" if best.rank_low == best.rank_high else f"between {best.rank_low:,} and {best.rank_high:,}"
    )
    return tiles(
        [
            (
                "Your images together" if count > 1 else "Your image",
                percent(standing.share),
                f"of the influence; at least {fine(standing.share_low)}, at most {fine(standing.share_high)}",
            ),
            ("Your closest stands at", rank, f"of {result.n_training:,}; {sure}"),
            (
                "Times an even share",
                f"{standing.lift:,.1f}" if standing.lift >= 0.1 else f"{standing.lift:.1g}",
                f"even: {fine(count / result.n_training)}, for {count} of {result.n_training:,} candidates",
            ),
            (
                "Strongest training image",
                percent(float(result.influence[first])),
                f"{result.name_of(first)}"
                + (f", by {result.credits[first].creator}" if result.credits[first].creator else ""),
            ),
        ]
    )


def piece_rows(standing: Standing) -> list[list[Any]]:
    """One row an image of the artist, closest first."""
    return [
        [
            k,
            p.title,
            p.rank,
            *(round(100 * v, 4) for v in (p.influence, p.low, p.high)),
            round(p.similarity, 4),
            p.number,
        ]
        for k, p in enumerate(standing.pieces, 1)
    ]


def survey_pictures(survey: Survey) -> str:
    """What was drawn, closest to the artist's work first."""
    shown = "".join(
        _figure(
            row.image,
            row.prompt,
            _PICTURE,
            f"{row.prompt}: {percent(row.standing.share)}, number {row.standing.best.rank:,}",
        )
        for row in survey.ranked
    )
    return f'{_CAPTIONS}<div class="pieces">{shown}</div>'


def survey_rows(survey: Survey) -> list[list[Any]]:
    """One row a prompt, closest first."""
    rows: list[list[Any]] = []
    for row in survey.ranked:
        s = row.standing
        rows.append(
            [
                row.prompt,
                *(round(100 * v, 4) for v in (s.share, s.share_low, s.share_high)),
                round(s.lift, 2),
                s.best.rank,
                s.attribution.n_training,
                s.best.title,
                round(100 * float(s.attribution.influence[s.strongest[0]]), 3),
            ]
        )
    return rows


def pairs(result: WithAndWithout) -> str:
    """Each prompt's two images side by side."""
    cells = []
    for pair in result.pairs:
        shown = "".join(
            _figure(
                image,
                f"{pair.prompt}, {name}",
                _PICTURE,
                f"{name}: {percent(standing.share)}, number {standing.best.rank:,}",
            )
            for image, name, standing in (
                (pair.without, "as it is", pair.before),
                (pair.learned, "having learned from you", pair.after),
            )
        )
        cells.append(f'<div class="pair"><h4>{html.escape(pair.prompt)}</h4><div>{shown}</div></div>')
    return f'{_CAPTIONS}<div class="pairs">{"".join(cells)}</div>'


def moved_rows(result: WithAndWithout) -> list[list[Any]]:
    """One row a prompt."""
    rows: list[list[Any]] = []
    for p in result.pairs:
        strongest = [
            round(100 * float(s.attribution.influence[s.strongest[0]]), 3) for s in (p.before, p.after)
        ]
        rows.append(
            [
                p.prompt,
                round(100 * p.before.share, 4),
                round(100 * p.after.share, 4),
                p.before.best.rank,
                p.after.best.rank,
                *strongest,
            ]
        )
    return rows


def section(standing: Standing) -> Section:
    """What a report says of it: names, ranks and shares, no picture."""
    facts = [
        Fact(
            "Together",
            percent(standing.share),
            standing.share,
            f"The sum over {len(standing.pieces)} images; at least {fine(standing.share_low)}, at most "
            f"{fine(standing.share_high)}.",
        )
    ]
    facts += [
        Fact(p.title, f"number {p.rank:,}, {percent(p.influence)}", p.influence) for p in standing.pieces
    ]
    return Section(
        f"Would {standing.artist} be credited?",
        f"{standing_sentence(standing)} The images of {standing.artist} were added as candidates for this section "
        "alone; they are not stored, and as far as the collection knows the model did not learn from them.",
        tuple(facts),
    )
