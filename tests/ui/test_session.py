"""What comes into sight is drawn: a tab when it is chosen, a part of one also when the tab around it is."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from attribution_core.settings import Settings
from tests.support.fakes import fake_collection
from ui.services.app import Services
from ui.session import Session


def test_a_part_is_drawn_when_it_or_the_tab_around_it_is_chosen_and_nothing_where_it_is_out_of_sight(
    tmp_path: Path,
) -> None:
    fake_collection(tmp_path / "shapes", n=10)
    with gr.Blocks() as page:
        session = Session(Services.open(Settings(collection=tmp_path / "shapes")))
        with gr.Tab("around", id="outer") as around, gr.Tab("part", id="inner") as part:
            asked, shown, more = gr.Number(), gr.Number(), gr.Number()
        session.tabs = (part, around)
        session.on_open(lambda value: [value, 2], [asked], [shown, more])
    own, outer = page.fns.values()
    assert [f.targets for f in (own, outer)] == [[(part._id, "select")], [(around._id, "select")]]
    assert "#outer-parts" in outer.js and "=== 'inner'" in outer.js, (
        "the page says which part was chosen before"
    )
    assert own.fn(7) == outer.fn(7, True) == [7, 2]
    assert outer.fn(7, False) == gr.skip(), "a list would be the value of a single output"
