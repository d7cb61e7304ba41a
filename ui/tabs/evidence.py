"""The tab Evidence: how well the methods find what is known to have influenced an image, and whether shares hold."""

from __future__ import annotations

import html
import math
from typing import Any

import gradio as gr

from attribution_core.add_one_in.evaluation import RECALL_AT, Score
from attribution_core.attribution.result import Attribution
from attribution_core.common.text import percent, rounded_percent
from attribution_core.evidence.benchmark import Calibrated, Evidence
from attribution_core.evidence.paper import paper_table
from attribution_core.figures import evidence as figures
from ui.handler import handler
from ui.services.app import Query, Services
from ui.session import Session
from ui.tabs import evidence_query
from ui.widgets import reliability_texts as texts
from ui.widgets.status import status_line
from ui.widgets.tiles import tiles

CASES = {
    "test_seen_concept": "things that the generator knows, in drawings it never saw",
    "test_unseen_concept": "things that neither the generator nor the mappers ever saw",
    "test_unseen_style": "styles that neither the generator nor the mappers ever saw",
}
_METRICS = ["mAP", *(f"R@{k}" for k in RECALL_AT)]


_NO_EVIDENCE = (
    '<div class="headline spread"><h2>No evidence for this collection yet</h2><p>To get some, tune models on images '
    "that its generator never saw. Fit the temperature on what they draw with <code>python -m attribution_core "
    "calibrate</code>, then measure with <code>evaluate</code>.</p></div>"
)


def build_reliability(services: Services, session: Session) -> None:
    """Draw whether shares mean what they say."""
    found = services.evidence
    if found is None:
        gr.HTML(_NO_EVIDENCE, elem_id="evidence-words")
        return
    _shares(services, session, found)
    if found.scaling:
        _candidates(found)
    gr.HTML(texts.LIMITS, elem_id="evidence-limits")


def build_one_case(services: Services, session: Session) -> None:
    """Draw one image whose exemplar is known, by two methods."""
    if services.evidence is None:
        gr.HTML(_NO_EVIDENCE)
    else:
        evidence_query.build(services, session, services.evidence, case_name)


def build_all_methods(services: Services, session: Session) -> None:
    """Draw what every encoder and mapper reaches, and the paper's own table."""
    found = services.evidence
    if found is None:
        gr.HTML(_NO_EVIDENCE)
    else:
        gr.HTML(_measured(found), elem_id="methods-words")
        _scores(found)
    if services.encoder_report:
        measured_on = html.escape(services.encoder_report["what"])
        gr.HTML(f"<h3>Which encoder recognises copies? {measured_on}</h3>", elem_classes="caption")
        gr.Plot(
            figures.copies(services.encoder_report["encoders"]),
            elem_id="copies",
            label="Copies found, and how many of the finds are right",
        )
    _paper()


def case_name(name: str) -> str:
    """A test case for people."""
    return CASES.get(name, name.replace("_", " "))


def _measured(evidence: Evidence) -> str:
    own = evidence.method(evidence.stored["own"])
    models = sum(next(s.models for s in evidence.scores if s.case == case) for case in evidence.cases)
    reached = []
    for case in evidence.cases:
        learned, plain = (
            _mean_ap(evidence, case, own.encoder, mapper) for mapper in (own.mapper, figures.PRETRAINED)
        )
        before = "" if own.mapper == figures.PRETRAINED else f" ({plain:.3f} before learning)"
        reached.append(f"{case_name(case)}: {learned:.3f}{before}")
    return (
        '<div class="headline"><h2>How often do the methods find the right image?</h2><p>'
        f"{models} models were tuned, each on one drawing or one set of drawings that the generator never saw. They "
        "then drew other prompts, so we know which drawing influenced each image. A good method puts that drawing "
        "first among all training images. The rgb-thumbnail of 16 × 16 pixels is there for comparison. Where it does "
        "well, images merely keep the layout of their exemplar.</p>"
        f"<p>Mean average precision of {html.escape(own.encoder)}, {html.escape(own.mapper)}:</p><ul>"
        + "".join(f"<li>{html.escape(line)}</li>" for line in reached)
        + "</ul></div>"
    )


def _mean_ap(evidence: Evidence, case: str, encoder: str, mapper: str) -> float:
    """Over both kinds of prompt, by number of queries."""
    mine = [s for s in evidence.scores if (s.case, s.encoder, s.mapper) == (case, encoder, mapper)]
    return sum(s.mean_ap.value * s.queries for s in mine) / sum(s.queries for s in mine)


def _scores(evidence: Evidence) -> None:
    first = evidence.cases[0]
    with gr.Row():
        case = gr.Dropdown(
            [(case_name(name), name) for name in evidence.cases],
            value=first,
            label="Test models",
            elem_id="case",
            scale=3,
            min_width=260,
        )
        kind = gr.Radio(
            list(evidence.kinds(first)),
            value=evidence.kinds(first)[0],
            label="Prompts",
            elem_id="kind",
            scale=2,
            min_width=220,
        )
    chosen = _chosen(evidence, first, evidence.kinds(first)[0])
    plot = gr.Plot(
        figures.metrics(chosen),
        label="All metrics side by side; hollow: without mappers",
        elem_id="metrics",
    )
    with gr.Accordion(
        "The same as a table, with 95% intervals over models", open=False, elem_id="scores-fold"
    ):
        table = gr.Dataframe(
            _table(chosen),
            headers=["encoder", "mapper", *_METRICS],
            interactive=False,
            elem_id="scores-table",
            max_height=520,
        )

    @handler
    def show_scores(case: str, kind: str) -> list[Any]:
        chosen = _chosen(evidence, case, kind)
        return [figures.metrics(chosen), _table(chosen)]

    gr.on(
        [case.input, kind.input],
        show_scores,
        [case, kind],
        [plot, table],
        api_name="show_scores",
        api_visibility="undocumented",
        show_progress="hidden",
    )


def _chosen(evidence: Evidence, case: str, kind: str) -> list[Score]:
    return [s for s in evidence.scores if (s.case, s.kind) == (case, kind)]


def _table(scores: list[Score]) -> list[list[str]]:
    return [[s.encoder, s.mapper, *(str(e) for e in (s.mean_ap, *s.recall))] for s in scores]


def _shares(services: Services, session: Session, evidence: Evidence) -> None:
    gr.HTML(texts.HEAD, elem_classes="caption")
    of_image = gr.HTML(elem_id="reliability-image")
    own = evidence.stored["own"]
    with gr.Row():
        method = gr.Dropdown(
            [m.name for m in evidence.methods],
            value=own,
            label=texts.METHOD,
            elem_id="reliability-method",
            min_width=240,
        )
        case = gr.Dropdown(
            [(case_name(name), name) for name in evidence.cases],
            value=evidence.cases[0],
            label=texts.CASE,
            elem_id="reliability-case",
            min_width=260,
        )
    first = _calibrated(evidence, own, evidence.cases[0])
    words = gr.HTML(_in_words(first), elem_id="reliability-words")
    plot = gr.Plot(figures.reliability(first), label=texts.PLOT, elem_id="reliability")
    gr.HTML(status_line(texts.PLOT_HELP))
    with gr.Accordion(texts.NUMBERS, open=False, elem_id="reliability-numbers"):
        numbers = gr.HTML(_tiles(first), elem_id="reliability-tiles")

    def draw(query: Query | None, result: Attribution | None) -> list[Any]:
        if query is None or result is None or not result.has_shares:
            return [""]
        reliability = services.reliability_words(result)
        share = rounded_percent(result.works[0].influence)
        said = texts.IMAGE.format(title=query.title, share=share, reliability=reliability)
        return [status_line(said) if reliability else ""]

    @handler
    def show_reliability(method: str, case: str) -> list[Any]:
        calibrated = _calibrated(evidence, method, case)
        return [_in_words(calibrated), figures.reliability(calibrated), _tiles(calibrated)]

    session.add_view([of_image], draw)
    gr.on(
        [method.input, case.input],
        show_reliability,
        [method, case],
        [words, plot, numbers],
        api_name="show_reliability",
        api_visibility="undocumented",
        show_progress="hidden",
    )


def _candidates(evidence: Evidence) -> None:
    scaling = evidence.scaling
    gr.HTML(texts.SIZES.format(count=scaling["fitted_with"]), elem_classes="caption")
    gr.Plot(figures.candidates(scaling["numbers"]), label=scaling["method"], elem_id="candidates")


def _calibrated(evidence: Evidence, method: str, case: str) -> Calibrated:
    return next(calibrated for calibrated in evidence.method(method).calibrated if calibrated.case == case)


def _in_words(calibrated: Calibrated) -> str:
    """What was measured, for people without statistics."""
    fitted, gain = calibrated.calibrated.value, calibrated.gain
    raises = None if gain.low <= 0 <= gain.high else gain.value > 0
    helps = texts.HELPS[calibrated.better_than_even].format(
        fitted=percent(math.exp(-fitted)), times=_times(calibrated.uniform - fitted)
    )
    scale = texts.SCALE[raises].format(times=_times(gain.value))
    misplaced = texts.MISPLACED.format(
        after=rounded_percent(calibrated.after.misplaced), before=rounded_percent(calibrated.before.misplaced)
    )
    return f'<p class="sentence">{helps}</p>{status_line(f"{scale} {misplaced}")}'


def _times(nats: float) -> str:
    """A ratio to two digits that matter, from its logarithm."""
    ratio = math.exp(nats)
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:,.0f}"


def _tiles(calibrated: Calibrated) -> str:
    even, flat, fitted = (
        math.exp(-nll)
        for nll in (calibrated.uniform, calibrated.uncalibrated.value, calibrated.calibrated.value)
    )
    gain, nll = calibrated.gain, calibrated.calibrated
    return tiles(
        [
            (texts.SHARE, f"{fitted:.2%}", texts.SHARE_NOTE.format(flat=f"{flat:.3%}", even=f"{even:.3%}")),
            (
                texts.GAIN,
                texts.GAIN_VALUE.format(math.exp(gain.value)),
                texts.GAIN_NOTE.format(math.exp(gain.low), math.exp(gain.high)),
            ),
            (
                texts.WRONG_PLACE,
                f"{calibrated.after.misplaced:.1%}",
                texts.UNCALIBRATED.format(f"{calibrated.before.misplaced:.1%}"),
            ),
            (
                texts.LOG_SHARE,
                f"{nll.value:.2f}",
                texts.LOG_NOTE.format(nll.low, nll.high, calibrated.uncalibrated.value),
            ),
        ]
    )


def _paper() -> None:
    header, rows = paper_table()
    with gr.Accordion(
        "The paper's own figures, on its own benchmark (Table 2 of its supplement)",
        open=False,
        elem_id="paper-fold",
    ):
        gr.HTML(
            "<p class='status'>Published by Wang, Efros, Zhu and Zhang (ICCV 2023), not measured here. Their images "
            "and models differ, and they search a million candidates. So compare the order of the methods, not the "
            "values.</p>"
        )
        gr.Dataframe(
            [[*row[:2], *map(float, row[2:])] for row in rows if all(row)],
            interactive=False,
            headers=[*header[:2], *map(_paper_column, header[2:])],
            elem_id="paper-table",
            max_height=420,
        )


def _paper_column(name: str) -> str:
    *case, metric = name.split("_")
    words = {
        "seen": "ImageNet-seen",
        "bamfg": "BAM-FG",
        "gpt": "GPT prompts",
        "media": "media",
        "object": "objects",
    }
    metric = "mAP" if metric == "map" else metric.upper().replace("R", "R@")
    return f"{', '.join(words[part] for part in case)}: {metric}"
