"""Options of a build: bad values are refused before anything is read."""

from __future__ import annotations

import pytest

from attribution_core.collection.build import Engine, EngineKind, IndexOptions, SourceOptions
from attribution_core.errors import AttributionError, InvalidInputError, UnknownNameError


def test_the_defaults_are_those_of_the_command() -> None:
    assert IndexOptions() == IndexOptions("auto", 0.1)
    assert Engine() == Engine(EngineKind.LOCAL, None) == Engine("local")
    assert SourceOptions().columns.chosen == {}


@pytest.mark.parametrize(
    ("options", "values", "kind", "words"),
    [
        (
            IndexOptions,
            {"near_duplicates": 0.6},
            InvalidInputError,
            "near_duplicates is 0.6, expected 0 to 0.5",
        ),
        (IndexOptions, {"near_duplicates": float("nan")}, InvalidInputError, "near_duplicates is nan"),
        (IndexOptions, {"factory": "Flt"}, UnknownNameError, "did you mean 'Flat'"),
        (IndexOptions, {"copy_encoder": "pocket-scd"}, UnknownNameError, "did you mean 'pocket-sscd'"),
        (Engine, {"kind": "rya"}, UnknownNameError, "did you mean 'ray'"),
        (Engine, {"workers": 2}, InvalidInputError, "the engine 'local' has none"),
        (Engine, {"kind": "ray", "workers": 0}, InvalidInputError, "expected at least 1"),
        (SourceOptions, {"read_as": "zip"}, UnknownNameError, "kind of source"),
    ],
)
def test_bad_values_are_refused(
    options: type, values: dict[str, object], kind: type[AttributionError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        options(**values)
