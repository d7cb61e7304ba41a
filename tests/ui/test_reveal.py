"""The panel beside the image: how the shares in sight go with the headline's."""

from __future__ import annotations

import pytest

from attribution_core.reports.wording.headline import headline
from tests.attribution.test_finding import attribution
from ui.widgets.reveal import reveal


@pytest.mark.parametrize(
    ("captions", "said", "counted"),
    [
        (
            ["cat"] * 6,
            "35% comes from 6 works",
            "The 35% above counts these 4 and 2 more works in the grey part.",
        ),
        (
            ["cat", "dog", "cat", "cat", "cat", "cow"],
            "25% comes from 4 works",
            "The 25% above counts 3 of these 4 and 1 more work in the grey part.",
        ),
        (["cat"] * 4 + ["dog"] * 2, "28% comes from 4 works", ""),
        (["cat", "dog"] * 3, "No single source", ""),
    ],
)
def test_the_headlines_share_is_reckoned_up_where_it_counts_more_than_is_shown(
    captions: list[str], said: str, counted: str
) -> None:
    result = attribution([0.1, 0.07, 0.06, 0.05, 0.04, 0.03], captions)
    shown = reveal(result, str, headline(result), [])
    assert said in headline(result) and (" above counts " in shown) is bool(counted)
    parts = "Blue: these 4, with 28% of all influence. Grey: the other 1,996 training images, with 72%."
    assert f"{parts} {counted}".rstrip() + "</p>" in shown
    assert " above counts " not in reveal(result, str, "Coming into being", [], unfinished=True)
