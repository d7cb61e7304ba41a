"""The HTML of a report: one page without scripts, read on paper as on a screen, in the light as in the dark.

Captions, names and links are strangers' words: everything that goes in is escaped, and the page forbids itself to load
anything (Content-Security-Policy).
"""

from __future__ import annotations

from html import escape

from attribution_core.attribution.groups import Groups
from attribution_core.common.images import data_uri
from attribution_core.common.text import percent, web_link
from attribution_core.reports.meaning import LIMITS, MEANING
from attribution_core.reports.report import Report
from attribution_core.reports.section import Section, StoredPart
from attribution_core.reports.wording.attribution import attribution_how, place_in_work

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2536; --soft: #56617a; --line: #d5dbe6; --ground: #fff; --box: #f6f8fb;
  --bar: #1d4fc4; --rest: #98a2b3; --link: #1d4fc4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf2; --soft: #a9b4c8; --line: #38445a; --ground: #10151f;
  --box: #182030; --bar: #6d9bff; --rest: #7a8599; --link: #9dbcff; } }
@media print { :root { --ink: #000; --soft: #444; --line: #bbb; --ground: #fff; --box: #fff; --bar: #1d4fc4;
  --link: #000; } main { max-width: none !important; padding: 0 !important; }
  figure, .card, tr, dl, svg { break-inside: avoid; } h2 { break-after: avoid; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI",
  "Liberation Sans", Arial, sans-serif; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
main { max-width: 980px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.25rem; margin: 2.2rem 0 0.5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 0.4rem; } p { margin: 0.4rem 0; } a { color: var(--link); }
p, dt, dd, figcaption, h1, h2, .verdict { overflow-wrap: anywhere; } td { overflow-wrap: break-word; }
.words { min-width: 150px; }
.how { color: var(--soft); font-size: 0.88rem; } .how b { font-weight: 600; }
.verdict { border-left: 5px solid var(--bar); background: var(--box); padding: 0.6rem 1rem; margin: 1rem 0; }
.verdict.spread { border-left-color: #c9852b; } .verdict strong { font-size: 1.15rem; }
.query { display: flex; flex-wrap: wrap; gap: 24px; } .query > img { width: 240px; height: 240px; }
.query > dl { flex: 1 1 320px; align-self: flex-start; }
img { object-fit: contain; background: #fff; border: 1px solid var(--line); border-radius: 6px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; } code { font-size: 0.82rem; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 14px; padding: 0;
  list-style: none; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 10px; font-size: 0.9rem; background: var(--box); }
.card img { width: 100%; height: 160px; display: block; margin-bottom: 6px; } .card b { font-size: 1.1rem; }
.card p { margin: 0.1rem 0; } svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 12px; } .fill { fill: var(--bar); } .other { fill: var(--rest); }
.ends { stroke: var(--ink); stroke-width: 1; } .axis { stroke: var(--line); stroke-width: 1; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: 0.88rem; }
th, td { text-align: left; padding: 0.3rem 0.6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; } .n { text-align: right; white-space: nowrap; }
td.bar { min-width: 120px; width: 22%; } figure { margin: 0; } .pictures { display: flex; flex-wrap: wrap; gap: 14px; }
.pictures img { width: 200px; height: 200px; }
@media (max-width: 560px) { main { padding: 16px 12px 40px; } .cards { grid-template-columns: repeat(2, 1fr); }
  .card img { height: 120px; } dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 0.4rem; } }
"""
_PICTURE = 400  # px, longer side of a section's pictures
_ABOVE = 18  # px over the tallest bar
_WIDE, _HIGH = 900, 190  # of the bars by rank


def report_page(report: Report) -> str:
    """One HTML page that needs nothing else: no script, no other file, no network."""
    title = f"Attribution of “{report.title}”"
    parts = [
        _head(report),
        _query(report),
        _images(report),
        _spread(report),
        _credit(report),
        *(_section(section) for section in report.sections),
        _meaning(),
        _table(report),
        _made_with(report),
    ]
    return document(title, "".join(parts))


def document(title: str, body: str) -> str:
    """A whole page that loads nothing. title: text. body: HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f'<meta name="referrer" content="no-referrer"><title>{escape(title)}</title><style>{_STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>\n"
    )


def _head(report: Report) -> str:
    result, first = report.attribution, report.attribution.credits[0]
    name = f"“{result.name_of(0)}”" + (f" by {first.creator}" if first.creator else "")
    share = percent(float(result.influence[0]))
    if result.stands_out:
        verdict, text = f"{name} stands out with {share} of the influence.", ""
    else:
        verdict = "No training image stands out."
        text = (
            f" The influence is spread over about {result.effective_number:,.0f} of {result.n_training:,} images; "
            f"the closest is {name} with {share}."
        )
    kind = "" if result.stands_out else " spread"
    return (
        f"<h1>Which training images influenced this image?</h1><p class='how'>Attribution report · "
        f"{escape(report.made.replace('T', ' ').replace('+00:00', ' UTC'))} · {escape(report.software)}</p>"
        f'<div class="verdict{kind}"><strong>{escape(verdict)}</strong>{escape(text)}'
        f"{how(known(report)['stands_out'])}</div>"
    )


def how(*sentences: str) -> str:
    """Under a number: how it is known, as HTML."""
    return f'<p class="how"><b>How do we know?</b> {escape(" ".join(sentences))}</p>'


def known(report: Report) -> dict[str, str]:
    """How each kind of number of the report is known."""
    return attribution_how(report.attribution)


def _facts(rows: list[tuple[str, str]]) -> str:
    """A list of names and values; the values are HTML already."""
    return (
        "<dl>"
        + "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in rows if value)
        + "</dl>"
    )


def _query(report: Report) -> str:
    made, result = report.recipe, report.attribution
    width, height = report.size
    rows = [("Prompt" if made else "Image", f"“{escape(report.title)}”"), ("Size", f"{width} × {height} px")]
    if made is not None:
        rows += [
            ("Seed", str(made.seed)),
            ("Steps", str(made.steps)),
            ("Guidance", f"{made.guidance:g}"),
            ("Generator", escape(made.generator)),
            ("its SHA-256", made.generator_sha256 and f"<code>{escape(made.generator_sha256)}</code>"),
            ("Made with", escape(made.software)),
        ]
    rows += [
        ("Collection", f"{escape(report.collection)}, {result.n_training:,} training images"),
        ("Method", escape(report.method)),
        ("Encoder", escape(result.encoder)),
        ("Temperature", f"{result.temperature:.6g}"),
    ]
    origin = "" if made else how("The image was brought along without a recipe: what made it is not known.")
    return (
        f'<h2>The image in question</h2><div class="query"><img src="{report.image}" alt="The image in question">'
        f"{_facts(rows)}</div>{origin}"
    )


def _interval(low: float, high: float) -> str:
    return f"{low:.4%} to {high:.4%}"


def _images(report: Report) -> str:
    result, count = report.attribution, len(report.thumbnails)
    head = result.head(count)
    strongest = max(float(result.influence[0]), 1e-12)
    cards = []
    for k, picture in enumerate(report.thumbnails):
        credit, share = result.credits[k], float(result.influence[k])
        name = escape(result.name_of(k))
        same = place_in_work(result.work_of(k), k)
        cards.append(
            f'<li class="card"><img src="{picture}" alt="{name}"><p><b>{percent(share)}</b> · rank '
            f"{int(result.rank[k]):,}</p>{_bar(share / strongest)}<p class='how'>"
            f"{_interval(float(result.influence_low[k]), float(result.influence_high[k]))}</p>"
            f"<p>{name}</p>{f'<p>{escape(same)}</p>' if same else ''}<p>{escape(credit.creator) or 'creator unknown'}, "
            f"{escape(credit.licence) or 'licence not stated'}</p><p>{web_link(credit.link)}</p></li>"
        )
    others = result.n_training - count
    totals = [("These images together", percent(1 - head.rest))]
    if others:
        totals.append(
            (
                f"The {others:,} others together",
                f"{percent(head.rest)} ({_interval(head.rest_low, head.rest_high)})",
            )
        )
    return (
        f"<h2>The {count} most influential training images</h2>{_facts(totals)}{how(known(report)['rest'])}"
        f'<ol class="cards">{"".join(cards)}</ol>'
        f"{how(known(report)['influence'], 'The small numbers are its interval.', known(report)['interval'])}"
    )


def _table(report: Report) -> str:
    """All that are listed, without pictures."""
    rows = "".join(
        f'<tr><td class="n">{top["rank"]:,}</td><td class="n">{top["influence"]:.4%}</td>'
        f'<td class="n">{_interval(top["low"], top["high"])}</td><td class="n">{top["similarity"]:.4f}</td>'
        f'<td class="n">{top["uncalibrated"]:.4%}</td><td class="words">{escape(top["caption"] or top["id"])}</td>'
        f"<td>{escape(top['creator'])}</td><td>{escape(top['licence'])}</td>"
        f"<td>{web_link(top['link'], 'open')}</td></tr>"
        for top in report.attribution.to_dict()["top"]
    )
    head = "".join(
        f"<th>{name}</th>"
        for name in (
            "rank",
            "influence",
            "interval",
            "similarity",
            "uncalibrated",
            "caption",
            "creator",
            "licence",
            "link",
        )
    )
    return (
        f"<h2>All {len(report.attribution)} listed images</h2>"
        f'<div class="wide" tabindex="0" role="region" aria-label="All listed images"><table><thead><tr>{head}'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
        f"{how(known(report)['similarity'], 'Uncalibrated:', known(report)['uncalibrated'])}"
    )


def _bar(part: float, kind: str = "fill") -> str:
    """A bar that fills `part` of its width."""
    return (
        '<svg viewBox="0 0 100 4" preserveAspectRatio="none" height="6" style="height:6px" aria-hidden="true">'
        f'<rect class="axis" fill="none" x="0" y="0" width="100" height="4"/>'
        f'<rect class="{kind}" x="0" y="0" width="{100 * min(max(part, 0.0), 1.0):.3f}" height="4"/></svg>'
    )


def _spread(report: Report) -> str:
    """Influence by rank with the ends of the intervals, on a linear scale from 0."""
    result = report.attribution
    tallest = max(float(result.influence_high.max()), 1e-12)
    step = _WIDE / len(result)
    bars = []
    for k, share in enumerate(result.influence):
        top, low, high = (
            _ABOVE + _HIGH * (1 - float(v) / tallest)
            for v in (share, result.influence_low[k], result.influence_high[k])
        )
        x = k * step
        bars.append(
            f'<rect class="fill" x="{x + 0.1 * step:.2f}" y="{top:.2f}" width="{0.8 * step:.2f}" '
            f'height="{_ABOVE + _HIGH - top:.2f}"/>'
        )
        if low - high > 1:  # px: an interval that can be seen
            bars.append(
                f'<line class="ends" x1="{x + step / 2:.2f}" x2="{x + step / 2:.2f}" y1="{low:.2f}" '
                f'y2="{high:.2f}"/>'
            )
    even = _ABOVE + _HIGH * (1 - min(1 / result.n_training / tallest, 1.0))
    words = (
        f"Influence of ranks 1 to {len(result)}: from {percent(float(result.influence[0]))} down to "
        f"{percent(float(result.influence[-1]))}"
    )
    bottom = _ABOVE + _HIGH
    return (
        f'<h2>How the influence is spread</h2><svg viewBox="0 0 {_WIDE} {bottom + 20}" role="img" '
        f'aria-label="{escape(words)}"><text x="0" y="12">{percent(tallest)}</text>{"".join(bars)}'
        f'<line class="axis" x1="0" x2="{_WIDE}" y1="{bottom}" y2="{bottom}"/>'
        f'<line class="ends" stroke-dasharray="5 5" x1="0" x2="{_WIDE}" y1="{even:.2f}" y2="{even:.2f}"/>'
        f'<text x="0" y="{bottom + 15}">rank 1</text><text x="{_WIDE}" y="{bottom + 15}" text-anchor="end">'
        f"rank {len(result)}</text></svg><p>{escape(words)}. The dashed line is an even share, "
        f"{1 / result.n_training:.4%}. As many equally influential images as would be so spread out: about "
        f"{result.effective_number:,.0f}.</p>{how(known(report)['effective_number'], known(report)['interval'])}"
    )


def _credit(report: Report) -> str:
    tables = "".join(_sum(told) for told in report.sums)
    return f"<h2>Whose credit</h2>{tables}{how(known(report)['sums'])}"


def _sum(told: Groups) -> str:
    names = ("influence", "interval", "images listed", "in the training set", "lift")
    head = f"<th>{told.by}</th><td></td>" + "".join(f"<th>{name}</th>" for name in names)
    rows = "".join(
        f'<tr><td class="words">{escape(g.name)}</td><td class="bar">{_bar(g.influence)}</td>'
        f'<td class="n">{percent(g.influence)}</td><td class="n">{_interval(g.low, g.high)}</td>'
        f'<td class="n">{g.listed:,}</td><td class="n">{g.images:,}</td><td class="n">{g.lift:.2f}</td></tr>'
        for g in told.groups
    )
    rest = (
        f'<tr><td>everything else</td><td class="bar">{_bar(told.rest, "other")}</td>'
        f'<td class="n">{percent(told.rest)}</td><td class="n">{_interval(told.rest_low, told.rest_high)}</td>'
        "<td></td><td></td><td></td></tr>"
    )
    return (
        f'<h3>By {told.by}</h3><div class="wide" tabindex="0" role="region" aria-label="Influence by {told.by}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}{rest}</tbody></table></div>"
    )


def _section(section: Section) -> str:
    facts = "".join(
        f"<dt>{escape(f.name)}</dt><dd><b>{escape(f.value)}</b>{how(f.how) if f.how else ''}</dd>"
        for f in section.facts
    )
    pictures = "".join(
        f'<figure><img src="{data_uri(p.image, _PICTURE)}" alt="{escape(p.caption)}">'
        f"<figcaption>{escape(p.caption)}</figcaption></figure>"
        for p in section.pictures
    )
    return (
        f"<h2>{escape(section.title)}</h2>"
        + (f"<p>{escape(section.words)}</p>" if section.words else "")
        + (f"<dl>{facts}</dl>" if facts else "")
        + (f'<div class="pictures">{pictures}</div>' if pictures else "")
    )


def _meaning() -> str:
    limits = "".join(f"<li>{escape(sentence)}</li>" for sentence in LIMITS)
    return (
        "<h2>What a score means, and what it does not</h2>"
        + "".join(f"<p>{escape(paragraph)}</p>" for paragraph in MEANING)
        + f"<ul>{limits}</ul>"
    )


def _made_with(report: Report) -> str:
    return f"<h2>What the numbers were made from</h2>{how(known(report)['checksums'])}" + "".join(
        _part(part) for part in report.parts
    )


def _part(part: StoredPart) -> str:
    rows = [
        ("What", escape(part.what)),
        ("Licence", escape(part.licence)),
        ("Versions", escape(", ".join(f"{name} {version}" for name, version in part.versions.items()))),
        ("card.json", f"<code>{part.card_sha256}</code>"),
    ]
    rows += [(name, f"<code>{escape(digest)}</code>") for name, digest in part.files.items()]
    return f"<h3>{escape(part.name.capitalize())}</h3>{_facts(rows)}"
