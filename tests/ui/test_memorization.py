"""The tab Memorization without a browser: its API, bad values, and damaged evidence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import CheckpointError
from attribution_core.settings import Settings
from tests.support.fakes import copying_collection
from ui.services.app import Services

CORPUS = Corpus.open(Settings().collection / "corpus")
PLANTED = [i for i, kind in enumerate(CORPUS.column("planted")) if kind == "planted"]


@pytest.fixture(scope="module")
def client(pocket_app: str) -> Client:
    return Client(pocket_app, verbose=False)


def test_the_api_tells_copies(client: Client, tmp_path: Path) -> None:
    CORPUS.image(PLANTED[1]).save(tmp_path / "a.png")
    told = client.predict(handle_file(tmp_path / "a.png"), api_name="/check_copy")
    assert told["is_copy"] is True and told["match"]["id"] == CORPUS.credit(PLANTED[1]).id
    assert 0.8 < told["threshold_precision"] <= 1 and told["sentence"] and told["how"]
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(AppError, match=r"bad\.png"):
        client.predict(handle_file(tmp_path / "bad.png"), api_name="/check_copy")


def test_the_tabs_handlers_work_without_a_browser(client: Client) -> None:
    words = client.predict("planted", 1, api_name="/make_case")[0]
    assert CORPUS.column("short_caption")[PLANTED[0]] in words
    steps = list(client.submit(CORPUS.column("short_caption")[PLANTED[0]], 2, api_name="/try_seeds"))
    assert "Of 2 seeds" in steps[-1][0]


@pytest.mark.parametrize(
    ("endpoint", "arguments", "words"),
    [
        ("/make_case", ("planted", 999), "not on the list"),
        ("/make_case", ("other", 1), "not (in|on) the list"),
        ("/try_seeds", ("", 2), "prompt is empty"),
        ("/try_seeds", ("cat", 0), "number of seeds|less than"),
        ("/try_seeds", ("cat", 33), "number of seeds|greater than"),
        ("/try_seeds", ("x" * 501, 2), "501 characters"),
        ("/try_seeds", ("cat", 1.5), "number of seeds"),
    ],
)
def test_the_api_refuses_bad_values_in_one_sentence(
    client: Client, endpoint: str, arguments: tuple[object, ...], words: str
) -> None:
    with pytest.raises(AppError, match=f"(?i){words}") as caught:
        client.predict(*arguments, api_name=endpoint)
    assert "Traceback" not in str(caught.value)


def test_damaged_evidence_is_said_when_the_app_starts(tmp_path: Path) -> None:
    folder = copying_collection(tmp_path / "shapes", 24).path
    (folder / "evidence").mkdir()
    (folder / "evidence/memorization.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"memorization\.json"):
        Services.open(Settings(port=0, collection=folder))
    shutil.rmtree(folder / "evidence")
    assert Services.open(Settings(port=0, collection=folder)).memorization_evidence is None
