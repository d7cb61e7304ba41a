"""Words, tables and pictures of the tab My artwork; pictures are written into the page, so that no file is made."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from attribution_core.analyses.artwork.lesson import WithAndWithout
from attribution_core.analyses.artwork.nearest import Nearest
from attribution_core.analyses.artwork.standing import Standing
from attribution_core.analyses.artwork.survey import Survey
from attribution_core.common.images import data_uri, scaled_down
from attribution_core.common.text import ordinal, percent, web_link
from attribution_core.corpus.corpus import Corpus
from attribution_core.evidence.learned import LearnedDrawing
from attribution_core.reports.section import Fact, Section
from attribution_core.reports.thumbnails import thumbnail_uri
from attribution_core.reports.wording.artwork import best_place, place_words, standing_sentence
from attribution_core.reports.wording.verdict import verdict_how
from ui.services.app import Query
from ui.services.artwork import Desk
from ui.widgets import artwork_texts as texts
from ui.widgets.pairs import PICTURE, figure, pairs_of
from ui.widgets.set_links import alike_link
from ui.widgets.status import status_line
from ui.widgets.tiles import tiles

_THUMBNAIL = 128  # px
_PAIRS = 6  # of the artist's images that are shown beside the training image most like them


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


def pieces(desk: Desk) -> str:
    """The images on the desk, and what was left out of the last drop."""
    if not desk.images:
        return status_line(texts.NO_IMAGES)
    count = "1 image" if len(desk.images) == 1 else f"{len(desk.images)} images"
    shown = "".join(
        figure(image, title, _THUMBNAIL) for image, title in zip(desk.images, desk.titles, strict=True)
    )
    notes = "".join(f'<p class="note" role="status">{html.escape(note)}</p>' for note in desk.notes)
    # Many of them are scrolled, with the keyboard, too.
    scrolled = '<div class="pieces small" tabindex="0" role="region" aria-label="Your images">'
    return f"{notes}{status_line(f'{count}, in memory only:')}{scrolled}{shown}</div>"


def answer(*found: str) -> str:
    """What was found, a paragraph for each question."""
    paragraphs = "".join(f'<p class="sentence">{html.escape(words)}</p>' for words in found)
    return f'<div role="status">{paragraphs}</div>'


def nearest_pairs(found: Sequence[Nearest], corpus: Corpus) -> str:
    """Each image of the artist beside the training image most like it."""
    cells = []
    for one in found[:_PAIRS]:
        credit = one.credit
        by = ", ".join(part for part in (credit.maker, credit.licence) if part)
        picture = (
            f'<img src="{thumbnail_uri(corpus, one.position)}" alt="training image: '
            f'{html.escape(credit.description, quote=True)}">'
        )
        cells.append(
            f'<div class="pair"><div>{figure(one.image, f"your image {one.title}", _THUMBNAIL, f"Yours: {one.title}")}'
            f"<figure>{alike_link(credit, picture)}"
            f"<figcaption>{html.escape(credit.title)}<br>{html.escape(by)}</figcaption></figure></div>"
            f"{status_line(texts.WEAK) if one.is_weak else ''}</div>"
        )
    more = len(found) - _PAIRS
    rest = status_line(f"{more} more under “{texts.NUMBERS}”.") if more > 0 else ""
    return f'<div class="pairs">{"".join(cells)}</div>{rest}'


def nearest_table(found: Sequence[Nearest]) -> str:
    """The same with similarities, for all images."""
    verdict = found[0].verdict
    columns = texts.NEAREST_COLUMNS if verdict is not None else texts.NEAREST_COLUMNS[:-1]
    head = "".join(f"<th scope='col'>{name}</th>" for name in columns)
    rows = "".join(
        f"<tr><td>{html.escape(one.title)}</td><td>{html.escape(one.credit.caption or one.credit.id)}</td>"
        f"<td>{one.similarity:.3f}</td>"
        f"{'' if one.verdict is None else f'<td>{one.verdict.similarity[0]:.3f}</td>'}</tr>"
        for one in found
    )
    how = ""
    if verdict is not None:
        limit = "" if verdict.threshold is None else texts.COPY_FROM.format(verdict.threshold.value)
        how = status_line(limit + verdict_how(verdict))
    return (
        "<div class='scrolled' tabindex='0' role='region' aria-label='Similarity of your images'>"
        f"<table class='plain'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{how}"
    )


def about(query: Query | None) -> str:
    """What the first question is about."""
    if query is None:
        return status_line(texts.NO_IMAGE)
    small = scaled_down(query.image, _THUMBNAIL)
    return (
        f'<div class="about"><img src="{data_uri(small, _THUMBNAIL)}" alt=""><p class="status">'
        f"“{html.escape(query.title)}”</p></div>"
    )


def credited(standing: Standing) -> str:
    """The answer to the first question."""
    return headline(standing_sentence(standing), "found" if standing.best.rank == 1 else "spread")


def credited_tiles(standing: Standing) -> str:
    """Its figures."""
    best, first = standing.best, standing.strongest[0]
    result, count = standing.attribution, len(standing.pieces)
    rank = ordinal(best.rank)
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
            ("Place of your closest", rank, f"of {result.n_training:,} sources, yours included; {sure}"),
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
        figure(
            row.image,
            row.prompt,
            PICTURE,
            f"“{row.prompt}”: yours would be {best_place(row.standing)}",
        )
        for row in survey.ranked
    )
    return f'<div class="pieces">{shown}</div>'


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
    return pairs_of(
        (
            pair.prompt,
            (pair.without, f"Without learning: {best_place(pair.before)}"),
            (pair.learned, f"Having learned: {best_place(pair.after)}"),
        )
        for pair in result.pairs
    )


def example(known: LearnedDrawing) -> str:
    """A stored drawing, what the model drew without and with having learned from it, and whose it is."""
    words = f"The model learned from this drawing for {known.steps} steps. Then it drew each prompt again."
    shown = pairs_of(
        (
            pair.prompt,
            (pair.without, f"Without learning: {place_words(pair.rank_without, known.candidates)}"),
            (pair.learned, f"Having learned: {place_words(pair.rank_learned, known.candidates)}"),
        )
        for pair in known.pairs
    )
    source = web_link(known.link, "source", new_tab=True) if known.link else ""
    credit = f"“{html.escape(known.title)}” by {html.escape(known.creator)}, {html.escape(known.licence)}"
    drawing = figure(known.image, f"the drawing “{known.title}”", PICTURE, "The drawing")
    return (
        f'<p class="sentence">{words}</p><div class="example"><div class="drawing">{drawing}'
        f'<p class="status">{credit}{source}</p></div>{shown}</div>'
        f"{status_line(texts.EXAMPLE_LIMIT)}"
    )


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
        "alone. They are not stored. As far as the collection knows, its model did not learn from them.",
        tuple(facts),
    )
