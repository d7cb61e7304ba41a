"""The map's figure shows every point in the colour of its group, and samples what is too many."""

from __future__ import annotations

import itertools
import json

import numpy as np
from plotly.graph_objects import Figure

from attribution_core.figures import training_map as figures
from attribution_core.figures.training_map import COLOURS, Coloured, Here, Influences, drawn, training_map

POINTS = np.arange(24, dtype=np.uint16).reshape(12, 2)
CAPTIONS = [f"<b>{k}</b>" for k in range(12)]


def test_groups_have_their_colours_and_captions_no_markup() -> None:
    groups = np.array([0, 1, -1] * 4, np.int8)
    figure = training_map(
        POINTS, CAPTIONS, Coloured(groups, ("Ada", "<Ben>"), "3 more"), None, Here(5, 6, "<x>")
    )
    Figure(figure.to_dict())  # which checks every value
    traces = {trace.name: trace for trace in figure.data}
    assert list(traces) == ["3 more", "Ada", "&lt;Ben&gt;", "this image"]
    assert traces["Ada"].x.tolist() == [0, 6, 12, 18] and traces["Ada"].marker.color == COLOURS[0]
    assert traces["3 more"].y.tolist() == [5, 11, 17, 23]
    assert traces["Ada"].text[1] == "&lt;b&gt;3&lt;/b&gt;"
    assert traces["this image"].hovertemplate.startswith("&lt;x&gt;")


def test_the_legend_has_room_for_two_columns_on_a_phone() -> None:
    long = "Architetto Francesco Rollandin"
    figure = training_map(POINTS, CAPTIONS, Coloured(np.zeros(12, np.int8), (long,), "others"))
    (trace,) = figure.data
    assert trace.name == "Architetto Francesco …" and long in trace.hovertemplate
    assert figure.layout.legend.font.size < 12


def test_points_are_sent_as_compact_numbers() -> None:
    sent = json.loads(training_map(POINTS, CAPTIONS).to_json())["data"][0]
    assert sent["type"] == "scattergl" and sent["x"]["dtype"] == sent["y"]["dtype"] == "u2"


def test_listed_images_stand_out_by_their_influence() -> None:
    listed = Influences(np.array([4, 2]), np.array([0.6, 0.1]), "share")
    every, some = training_map(POINTS, CAPTIONS, influences=listed).data
    assert len(every.x) == 12 and some.x.tolist() == [4, 8], "the strongest is drawn last"
    assert (
        some.marker.color.tolist() == [0.1, 0.6]
        and some.marker.size[1] > some.marker.size[0] > every.marker.size
    )


def test_of_too_many_points_a_sample_is_drawn_without_captions(monkeypatch) -> None:
    monkeypatch.setattr(figures, "DRAWN", 5)
    monkeypatch.setattr(figures, "NAMED", 11)
    (trace,) = training_map(POINTS, CAPTIONS).data
    assert len(trace.x) == len(set(trace.x)) == 5 and trace.text is None and trace.hoverinfo == "none"
    assert np.array_equal(drawn(12), drawn(12)) and len(drawn(5)) == 5


def _linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def test_colours_are_legible_on_light_and_dark_and_told_apart_by_the_colour_blind() -> None:
    luminance = np.array([_linear(c) @ [0.2126, 0.7152, 0.0722] for c in COLOURS])
    assert (1.05 / (luminance + 0.05)).min() > 2.2 and ((luminance + 0.05) / 0.062).min() > 2.4
    # As people without the receptors for green see them: Machado, Oliveira and Fernandes, 2009.
    seen = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    shades = [np.cbrt(np.clip(seen @ _linear(c), 0, 1)) for c in COLOURS]
    assert min(np.abs(a - b).max() for a, b in itertools.combinations(shades, 2)) > 0.06
