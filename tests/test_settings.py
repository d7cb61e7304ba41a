"""Settings come from the environment, with the types and bounds that they say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from attribution_core.settings import REPOSITORY, Settings


def test_defaults_open_the_pocket_collection() -> None:
    settings = Settings()
    assert settings.collection == REPOSITORY / "checkpoints/pocket"
    assert (settings.device, settings.port) == ("auto", 7860)


def test_the_environment_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTRIBUTION_COLLECTION", "/data/mine")
    monkeypatch.setenv("ATTRIBUTION_PORT", "9000")
    settings = Settings()
    assert (settings.collection, settings.port) == (Path("/data/mine"), 9000)


def test_what_ships_may_lie_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTRIBUTION_CHECKPOINTS", "/data/checkpoints")
    settings = Settings()
    assert settings.checkpoints == Path("/data/checkpoints")
    assert settings.collection == Path("/data/checkpoints/pocket")
    monkeypatch.setenv("ATTRIBUTION_COLLECTION", "/data/mine")
    assert Settings().collection == Path("/data/mine")


def test_several_collections_are_written_as_in_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTRIBUTION_COMPARE_WITH", os.pathsep.join(["/data/a", "b"]))
    assert Settings().compare_with == (Path("/data/a"), Path("b"))
    monkeypatch.setenv("ATTRIBUTION_COMPARE_WITH", "")
    assert Settings().compare_with == ()


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "99999"), ("PORT", "web"), ("TOP", "0"), ("MAX_UPLOAD_MB", "-1")]
)
def test_values_out_of_bounds_are_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"ATTRIBUTION_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_sites_that_may_frame_the_app_are_named_with_their_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "ATTRIBUTION_EMBED_IN", "https://talk.example, http://localhost:8000,https://*.lab.example"
    )
    assert Settings().embed_in == ("https://talk.example", "http://localhost:8000", "https://*.lab.example")
    for value in ("talk.example", "https://a.example; script-src *", "*", "https://a.example/path"):
        monkeypatch.setenv("ATTRIBUTION_EMBED_IN", value)
        with pytest.raises(ValidationError, match="is no site"):
            Settings()


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]
