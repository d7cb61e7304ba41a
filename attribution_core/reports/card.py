"""The share card: one picture that shows an image, its strongest sources and their makers, and the caveat."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from attribution_core.attribution.result import Attribution
from attribution_core.attribution.works import Work
from attribution_core.common.text import one_line, rounded_percent
from attribution_core.corpus.corpus import Corpus
from attribution_core.corpus.credit import terms_of
from attribution_core.reports.meaning import CAVEAT
from attribution_core.reports.wording.headline import headline, similarity_headline
from attribution_core.reports.wording.origin import ORIGIN

SIZE = (1200, 630)
"""Width and height in px: what social networks and messengers show whole."""
SOURCES = 4
_FONTS = Path(__file__).parent / "fonts"
_PAPER, _INK, _FAINT, _BLUE, _GREY = "#ffffff", "#0f172a", "#475569", "#1d4ed8", "#cbd5e1"
_MARGIN, _IMAGE, _THUMBNAIL, _ROW = 44, 430, 76, 90  # px
_BAR = 14  # px


def share_card(
    image: Image.Image,
    attribution: Attribution,
    corpus: Corpus,
    *,
    title: str,
    address: str = "",
) -> Image.Image:
    """Draw the card of an attributed image; with similarities in place of shares where it is unknown what made it.

    Args:
        image: The query.
        attribution: Of that image, over that corpus, without added candidates.
        corpus: Whose pictures and credits are shown.
        title: Prompt or file name.
        address: Where the result can be seen; left out where empty.

    Returns:
        An RGB image of `SIZE`.
    """
    card = Image.new("RGB", SIZE, _PAPER)
    draw = ImageDraw.Draw(card)
    shares = attribution.has_shares
    shown = ImageOps.contain(image.convert("RGB"), (_IMAGE, _IMAGE), Image.Resampling.LANCZOS)
    card.paste(shown, (_MARGIN + (_IMAGE - shown.width) // 2, _MARGIN + (_IMAGE - shown.height) // 2))
    draw.rectangle((_MARGIN, _MARGIN, _MARGIN + _IMAGE, _MARGIN + _IMAGE), outline=_GREY)
    _lines(draw, (_MARGIN, 2 * _MARGIN + _IMAGE - 28), f"“{title}”", _font(21), _IMAGE, 2, _FAINT)
    left, right = 2 * _MARGIN + _IMAGE, SIZE[0] - _MARGIN
    words = headline(attribution) if shares else similarity_headline(attribution)
    y = _lines(draw, (left, _MARGIN - 8), words, _font(27, bold=True), right - left, 3, _INK) + 18
    strongest = attribution.works[:SOURCES]
    for work in strongest:
        _source(card, draw, attribution, corpus, work, (left, y), right, shares=shares)
        y += _ROW
    if shares:
        others = rounded_percent(1 - sum(work.influence for work in strongest))
        rest = f"All other training images together: {others}"
        _lines(draw, (left, y - 4), rest, _font(18), right - left, 1, _FAINT)
    caveat = CAVEAT if shares else ORIGIN[attribution.made_by]
    _lines(draw, (_MARGIN, SIZE[1] - 92), caveat, _font(16), SIZE[0] - 2 * _MARGIN, 2, _FAINT)
    name = _font(18, bold=True)
    draw.text((_MARGIN, SIZE[1] - 30), "Attribution Explorer", _BLUE, name, anchor="lm")
    if address:
        start = _MARGIN + draw.textlength("Attribution Explorer", name) + 16
        text = _fitted(draw, one_line(address), _font(15), SIZE[0] - _MARGIN - start)
        draw.text((start, SIZE[1] - 30), text, _FAINT, _font(15), anchor="lm")
    return card


def _source(
    card: Image.Image,
    draw: ImageDraw.ImageDraw,
    attribution: Attribution,
    corpus: Corpus,
    work: Work,
    at: tuple[int, int],
    right: int,
    *,
    shares: bool,
) -> None:
    """One training image: its picture, a bar and a number, its caption, its maker and licence."""
    left, y = at
    first = work.places[0]
    position = int(attribution.ids[first])
    thumbnail = ImageOps.contain(corpus.image(position).convert("RGB"), (_THUMBNAIL, _THUMBNAIL))
    card.paste(
        thumbnail, (left + (_THUMBNAIL - thumbnail.width) // 2, y + (_THUMBNAIL - thumbnail.height) // 2)
    )
    draw.rectangle((left, y, left + _THUMBNAIL, y + _THUMBNAIL), outline=_GREY)
    x = left + _THUMBNAIL + 18
    similarity = float(attribution.similarity[first])
    value = rounded_percent(work.influence) if shares else f"similarity {similarity:.2f}"
    font = _font(21, bold=True)
    room = right - x - 16 - draw.textlength(value, font)
    widest = max(attribution.works[0].influence, 1e-12)
    length = max(_BAR, room * (work.influence / widest if shares else max(similarity, 0.0)))
    draw.rounded_rectangle((x, y + 3, x + length, y + 3 + _BAR), _BAR // 2, _BLUE)
    draw.text((x + length + 12, y + 10), value, _INK, font, anchor="lm")
    _lines(draw, (x, y + 23), attribution.name_of(first), _font(19), right - x, 1, _INK)
    terms = terms_of([attribution.credits[p] for p in work.places])
    _lines(draw, (x, y + 48), terms, _font(17), right - x, 1, _FAINT)


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "Inter-SemiBold.ttf" if bold else "Inter-Regular.ttf"
    return ImageFont.truetype(_FONTS / name, size, layout_engine=ImageFont.Layout.BASIC)


def _lines(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    font: ImageFont.FreeTypeFont,
    width: float,
    most: int,
    colour: str,
) -> int:
    """Write a text on at most so many lines, cut with an ellipsis, and return where the next line begins."""
    words, lines = one_line(text).split(), [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or draw.textlength(longer, font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    x, y = at
    height = int(font.size * 1.3)
    for line in lines:
        draw.text((x, y), _fitted(draw, line, font, width), colour, font)
        y += height
    return int(y)


def _fitted(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, or as much of its beginning as fits, with an ellipsis."""
    if draw.textlength(text[:2000], font) <= width and len(text) <= 2000:
        return text
    low, high = 0, min(len(text), 2000)
    while low < high:
        middle = (low + high + 1) // 2
        if draw.textlength(f"{text[:middle].rstrip()}…", font) <= width:
            low = middle
        else:
            high = middle - 1
    return f"{text[:low].rstrip()}…"
