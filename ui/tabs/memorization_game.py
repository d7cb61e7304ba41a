"""Part of the tab Memorization: a game. Which picture is the original, and which did the model draw from memory?"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from attribution_core.errors import InvalidInputError
from attribution_core.generation.generator import StepPreview
from ui.handler import handler
from ui.server.lanes import generation
from ui.services.app import Query
from ui.services.memorization import Case, MemorizationServices
from ui.session import KEEP_S, Session
from ui.widgets import memorization_texts as texts
from ui.widgets.in_line import line
from ui.widgets.recipe_fields import filled_in
from ui.widgets.status import status_line

_LEFT, _RIGHT = "left", "right"
_SEEDS = 1000  # a round draws with one of so many seeds
_SHOWN = 256  # px


@dataclass(frozen=True, eq=False)
class Round:
    """Two pictures of one caption. original: the side on which the training image is."""

    case: Case
    query: Query
    original: str


def build(session: Session, own: MemorizationServices) -> None:
    """Draw the game and wire it; nothing for a collection without planted cases or without a copy encoder."""
    planted = own.cases.get("planted", [])
    if not planted or own.missing:
        return
    gr.HTML(texts.GAME.format(count=len(planted)), elem_id="game-words")
    said = line("game-said")  # above the pictures, so that a phone shows the answer
    with gr.Row(elem_id="game-row"):
        picture: dict[str, Any] = {
            "show_label": False,
            "interactive": False,
            "format": "png",
            "buttons": [],
            "height": 220,
            "min_width": 130,
            "visible": False,
        }
        left = gr.Image(elem_id="game-left", **picture)
        right = gr.Image(elem_id="game-right", **picture)
    with gr.Row(elem_id="game-buttons"):
        pick_left = gr.Button(texts.LEFT, elem_id="pick-left", visible=False, min_width=120)
        pick_right = gr.Button(texts.RIGHT, elem_id="pick-right", visible=False, min_width=120)
        deal_button = gr.Button(texts.PLAY, variant="primary", elem_id="game-deal", min_width=120)
    round_now, score = (gr.State(value, time_to_live=KEEP_S) for value in (None, (0, 0)))
    board = [left, right, pick_left, pick_right, deal_button, said, round_now]

    @handler
    def deal() -> Iterator[list[Any]]:
        case, seed = secrets.choice(planted), secrets.randbelow(_SEEDS)
        hidden = [gr.update(visible=False)] * 4
        for event in own.make(case.prompt, seed):
            if isinstance(event, StepPreview):
                words = status_line(f"The model is drawing: step {event.step} of {event.total}")
                yield [*hidden, gr.update(interactive=False), words, None]
            else:
                original = secrets.choice((_LEFT, _RIGHT))
                pictures = [own.services.collection.corpus.image(case.position), event.image]
                shown = [_levelled(p, event.image) for p in pictures]
                if original == _RIGHT:
                    shown.reverse()
                yield [
                    *(
                        gr.update(value=p, visible=True, alt_text=alt.format(case.prompt))
                        for p, alt in zip(shown, (texts.LEFT_ALT, texts.RIGHT_ALT), strict=True)
                    ),
                    *[gr.update(visible=True)] * 2,
                    gr.update(visible=False),
                    status_line(f"“{case.prompt}”: which one is the original?"),
                    Round(case, event, original),
                ]

    def guess(side: str) -> Any:
        @handler
        def reveal(dealt: Round | None, score: tuple[int, int] | None) -> list[Any]:
            if dealt is None:
                raise InvalidInputError(texts.NO_PAIR)
            hits, rounds = score or (0, 0)
            won = side == dealt.original
            hits, rounds = hits + won, rounds + 1
            credit = own.services.collection.corpus.credit(dealt.case.position)
            words = (
                f"{'Right' if won else 'Wrong'}: the original is on the {dealt.original}. It is "
                f"{credit.title_and_maker}. {hits} of {rounds} right in this visit. The verdict on the drawn picture "
                "follows."
            )
            made = dealt.query
            alts = [texts.ORIGINAL_ALT.format(credit.description), texts.DRAWN_ALT.format(dealt.case.prompt)]
            if dealt.original == _RIGHT:
                alts.reverse()
            fields = filled_in(made.recipe) if made.recipe else [gr.skip()] * 4
            next_round = gr.update(value=texts.NEXT_PAIR, visible=True, interactive=True)
            return [
                *[gr.update(visible=False)] * 2,
                next_round,
                status_line(words),
                None,
                (hits, rounds),
                made,
                *fields,
                *(gr.update(alt_text=alt) for alt in alts),
            ]

        return reveal

    dealing = deal_button.click(deal, None, board, api_name="deal", trigger_mode="once", **generation(said))
    dealing.failure(None, None, deal_button, js="() => ({__type__: 'update', interactive: true})")
    for button, side in ((pick_left, _LEFT), (pick_right, _RIGHT)):
        revealed = button.click(
            guess(side),
            [round_now, score],
            [
                pick_left,
                pick_right,
                deal_button,
                said,
                round_now,
                score,
                session.made,
                *session.fields,
                left,
                right,
            ],
            api_name=f"guess_{side}",
            show_progress="hidden",
        )
        session.attribute_after(revealed)


def _levelled(picture: Image.Image, drawn: Image.Image) -> Image.Image:
    """A picture at the resolution of what the model draws, so that sharpness does not give the answer away."""
    return picture.resize(drawn.size, Image.Resampling.LANCZOS).resize(
        (_SHOWN, _SHOWN), Image.Resampling.LANCZOS
    )
