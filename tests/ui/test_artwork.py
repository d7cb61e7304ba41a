"""What the tab My artwork asks for, without a browser: files that are deleted, desks that are forgotten, streams."""

from __future__ import annotations

import gc
import hashlib
import logging
import re
import shutil
import time
import weakref
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from attribution_core.analyses.artwork.lesson import MARK, Lesson, WithAndWithout
from attribution_core.analyses.artwork.survey import Survey
from attribution_core.common.progress import Progress
from attribution_core.errors import AttributionError, CheckpointError, InvalidImageError, InvalidInputError
from attribution_core.evidence.learned import LearnedDrawing, LearnedPair
from attribution_core.settings import Settings
from tests.support.fakes import copying_collection, fake_collection, shape_image
from tests.support.uploads import holds
from ui.services.app import Services
from ui.services.artwork import ArtworkServices, Desk
from ui.widgets import artwork_html as words
from ui.widgets import artwork_texts as texts


@pytest.fixture(scope="module")
def services(shapes: Path) -> Services:
    return Services.open(Settings(collection=shapes, top=20, max_upload_mb=1))


@pytest.fixture
def asked(services: Services, tmp_path: Path) -> ArtworkServices:
    return ArtworkServices(services, tmp_path / "uploads")


def uploaded(folder: Path, *seeds: int) -> list[str]:
    """Files as Gradio lays them down: each in a folder whose name is its checksum."""
    paths = []
    for seed in seeds:
        place = folder / "uploads" / hashlib.sha256(str(seed).encode()).hexdigest()
        place.mkdir(parents=True)
        shape_image(seed).save(place / f"piece {seed}.png")
        paths.append(str(place / f"piece {seed}.png"))
    return paths


def left(folder: Path) -> list[Path]:
    return list((folder / "uploads").rglob("*"))


def test_files_are_gone_once_they_are_read_and_pictures_add_up(
    asked: ArtworkServices, tmp_path: Path
) -> None:
    desk = asked.drop(None, uploaded(tmp_path, 1, 2))
    assert left(tmp_path) == []
    assert asked.drop(desk, uploaded(tmp_path, 3)) is desk
    assert desk.titles == ("piece 1", "piece 2", "piece 3") and left(tmp_path) == []
    assert [i.tobytes() for i in desk.images] == [shape_image(k).tobytes() for k in (1, 2, 3)]


def test_one_file_twice_is_read_twice(asked: ArtworkServices, tmp_path: Path) -> None:
    assert asked.drop(None, uploaded(tmp_path, 1) * 2).titles == ("piece 1", "piece 1")
    assert left(tmp_path) == []


SENTENCES = {"broken": "'piece 11.png' cannot be read", "large": "'piece 11.png'.*1 MB", "bomb": "megapixels"}


def spoil(path: str, bad: str) -> None:
    if bad == "broken":
        Path(path).write_bytes(b"no image")
    elif bad == "large":
        Path(path).write_bytes(b"\0" * 1_000_001)
    else:
        Image.new("1", (12_000, 12_000)).save(path)


@pytest.mark.parametrize("bad", SENTENCES)
def test_a_bad_file_takes_no_good_one_with_it(asked: ArtworkServices, tmp_path: Path, bad: str) -> None:
    desk = asked.drop(None, uploaded(tmp_path, 1))
    paths = uploaded(tmp_path, 10, 11, 12)
    spoil(paths[1], bad)
    asked.drop(desk, paths)
    assert desk.titles == ("piece 1", "piece 10", "piece 12") and left(tmp_path) == []
    assert len(desk.notes) == 1 and re.search(SENTENCES[bad], desk.notes[0])
    assert words.pieces(desk).count('class="note"') == 1
    asked.drop(desk, uploaded(tmp_path, 13))
    assert desk.notes == (), "they are of the last drop"


@pytest.mark.parametrize("bad", SENTENCES)
def test_a_drop_without_a_good_file_changes_nothing(asked: ArtworkServices, tmp_path: Path, bad: str) -> None:
    desk = asked.drop(None, uploaded(tmp_path, 1))
    paths = uploaded(tmp_path, 11)
    spoil(paths[0], bad)
    with pytest.raises(InvalidImageError, match=SENTENCES[bad]):
        asked.drop(desk, paths)
    assert desk.titles == ("piece 1",) and left(tmp_path) == []
    with pytest.raises(InvalidInputError, match="no images"):
        asked.drop(None, [])


def test_of_too_many_files_the_first_are_taken(asked: ArtworkServices, tmp_path: Path) -> None:
    desk = asked.drop(None, uploaded(tmp_path, 1))
    asked.drop(desk, uploaded(tmp_path, *range(10, 70)))
    assert desk.titles == ("piece 1", *(f"piece {k}" for k in range(10, 39))) and left(tmp_path) == []
    assert desk.notes == ("At most 30 images are taken; 31 files were left out.",)
    with pytest.raises(InvalidInputError, match="Forget my artwork"):
        asked.drop(desk, uploaded(tmp_path, 80))
    assert len(desk.images) == 30 and left(tmp_path) == []


def test_a_call_without_a_page_reads_all_or_none(asked: ArtworkServices, tmp_path: Path) -> None:
    paths = uploaded(tmp_path, 1, 11)
    Path(paths[1]).write_bytes(b"no image")
    with pytest.raises(InvalidImageError, match="piece 11"):
        asked.read(paths)
    assert left(tmp_path) == []


def test_each_image_stands_beside_the_training_image_most_like_it(
    asked: ArtworkServices, services: Services, tmp_path: Path
) -> None:
    corpus = services.collection.corpus
    desk = asked.drop(None, uploaded(tmp_path, 30, 4))
    found = asked.nearest(desk, "Ada", None)
    assert {one.title for one in found} == {"piece 30", "piece 4"}
    assert [one.similarity for one in found] == sorted((one.similarity for one in found), reverse=True)
    assert all(one.credit.caption == corpus.credit(one.position).caption for one in found)
    shown = words.nearest_pairs(found, corpus)
    assert shown.count("<img") == 4 and "similarity" not in shown and found[0].credit.licence in shown
    assert f"{found[0].similarity:.3f}" in words.nearest_table(found)
    assert asked.nearest(desk, "Ada", None) is found, "it is asked again when the prompts are drawn"
    with pytest.raises(InvalidInputError, match="no artwork here"):
        asked.nearest(Desk(), "Ada", None)


def test_a_weak_match_is_called_weak(tmp_path: Path) -> None:
    folder = copying_collection(tmp_path / "shapes", 24).path
    services = Services.open(Settings(collection=folder, device="cpu"))
    services.copies.prepare()
    asked, desk = ArtworkServices(services, tmp_path / "uploads"), Desk()
    desk.put([Image.effect_noise((64, 64), 90).convert("RGB"), shape_image(3)], ["noise", "piece"])
    found = asked.nearest(desk, "Ada", None)
    pairs = words.nearest_pairs(found, services.collection.corpus).split('class="pair"')[1:]
    assert [texts.WEAK in pair for pair in pairs] == [False, True] and "noise" in pairs[1]
    table = words.nearest_table(found)
    assert f"{found[1].verdict.similarity[0]:.3f}" in table  # type: ignore[union-attr]
    assert texts.NEAREST_COLUMNS[-1] in table and "a match below that is weak" in table


def test_a_stored_drawing_is_shown_with_its_licence(
    asked: ArtworkServices, services: Services, tmp_path: Path
) -> None:
    assert asked.example is None
    pair = LearnedPair("whale", shape_image(1), shape_image(2), 361, 1)
    known = LearnedDrawing(
        shape_image(3), "<b>whale", "Ada", "CC-BY-4.0", "https://example.org", 125, 7767, (pair,)
    )
    shown = words.example(known)
    assert shown.count("<img") == 3 and "<b>whale" not in shown
    assert "361st of 7,767 sources" in shown and "CC-BY-4.0" in shown and texts.EXAMPLE_LIMIT in shown


def test_only_uploaded_files_are_read_and_deleted(asked: ArtworkServices, tmp_path: Path) -> None:
    shape_image(1).save(tmp_path / "private.png")
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads/link.png").symlink_to(tmp_path / "private.png")
    for path in ("private.png", "uploads/../private.png", "uploads/link.png"):
        with pytest.raises(InvalidInputError, match="no uploaded file"):
            asked.drop(None, [str(tmp_path / path)])
    assert (tmp_path / "private.png").exists()


def test_a_closed_page_is_forgotten(asked: ArtworkServices, services: Services, tmp_path: Path) -> None:
    desk, other = (
        asked.drop(None, uploaded(tmp_path, 1), "one"),
        asked.drop(None, uploaded(tmp_path, 2), "two"),
    )
    gone = weakref.ref(desk.images[0])
    asked.credited(desk, "Ada", None, services.examples[0])
    assert desk.rows
    asked.leave("one")
    gc.collect()
    assert (desk.images, desk.titles, desk.rows, desk.learned, gone()) == ((), (), {}, None, None)
    assert len(other.images) == 1
    asked.leave("one")
    asked.leave("unknown")
    with pytest.raises(InvalidInputError, match="no artwork here"):
        asked.credited(desk, "Ada", None, services.examples[0])


def test_the_answer_and_its_section_without_a_picture(
    asked: ArtworkServices, services: Services, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        desk = asked.drop(None, uploaded(tmp_path, 1, 30))
        told = asked.credited(desk, "Ada", None, services.examples[0])
    assert told.best.rank in (1, 2) and told.best.title == "piece 1"
    assert "piece" not in caplog.text
    section = words.section(told)
    assert section.pictures == () and "Ada" in section.title
    assert [f.number for f in section.facts] == [told.share, *(p.influence for p in told.pieces)]
    assert "piece 1" in words.credited(told)
    assert len(words.piece_rows(told)[0]) == len(texts.PIECES)
    with pytest.raises(InvalidInputError, match="name is empty"):
        asked.credited(desk, " ", None, services.examples[0])
    with pytest.raises(InvalidInputError, match="no image to ask about"):
        asked.credited(desk, "Ada", None, None)


def test_titles_of_strangers_are_words(asked: ArtworkServices) -> None:
    desk = Desk()
    desk.put([shape_image(1)], ['"><script>alert(1)</script>'])
    assert "<script>" not in words.pieces(desk)


def test_prompts_stream_and_end_with_the_answer(asked: ArtworkServices, tmp_path: Path) -> None:
    desk = asked.drop(None, uploaded(tmp_path, 1))
    events = list(asked.ask_prompts(desk, "Ada", None, "red cat\n\nblue dog", 1))
    assert isinstance(events[-1], Survey) and all(isinstance(e, Progress) for e in events[:-1])
    assert len(words.survey_rows(events[-1])[0]) == len(texts.PROMPT_COLUMNS)
    assert words.survey_pictures(events[-1]).count("<img") == 2
    assert len(asked.near(desk, "Ada", None)) == 8 and len(asked.near(desk, "Ada", None, 4)) == 4


def test_it_learns_once_and_draws_again(asked: ArtworkServices, services: Services, tmp_path: Path) -> None:
    assert services.generator is not None
    before = services.generator.generate("red cat", 1).image.tobytes()
    desk, lesson = asked.drop(None, uploaded(tmp_path, 1, 2)), Lesson("cat")
    told = list(asked.ask_learned(desk, "Ada", None, lesson, 25, MARK, 1))
    assert isinstance(told[-1], WithAndWithout)
    assert len(words.moved_rows(told[-1])[0]) == len(texts.MOVED) and words.pairs(told[-1]).count("<img") == 2
    taught = desk.learned
    again = list(asked.ask_learned(desk, "Ada", None, lesson, 25, f"red {MARK}", 1))
    assert desk.learned is taught and {e.stage for e in again[:-1] if isinstance(e, Progress)} == {
        "drawing with and without"
    }
    asked.drop(desk, uploaded(tmp_path, 3))
    assert desk.learned is None, "what was learned is of other images"
    assert services.generator.generate("red cat", 1).image.tobytes() == before


def test_a_listener_that_leaves_stops_the_learning(
    asked: ArtworkServices, services: Services, tmp_path: Path
) -> None:
    assert services.generator is not None
    before = services.generator.generate("red cat", 1).image.tobytes()
    desk = asked.drop(None, uploaded(tmp_path, 1))
    stream = asked.ask_learned(desk, "Ada", None, Lesson("cat"), 500, MARK, 1)
    while next(stream).done < 3:  # type: ignore[union-attr]
        pass
    stream.close()
    start = time.monotonic()
    with services.generator.lock:
        assert time.monotonic() - start < 10
    assert desk.learned is None
    assert services.generator.generate("red cat", 1).image.tobytes() == before


@pytest.mark.parametrize(
    ("artist", "prompts", "seed", "steps", "match"),
    [
        ("", MARK, 1, 25, "name is empty"),
        ("Ada", " ", 1, 25, "no prompt"),
        ("Ada", "a cat", 1, 25, "does not hold"),
        ("Ada", MARK, -1, 25, "seed"),
        ("Ada", MARK, 1, 5000, "learning steps"),
        ("Ada", "\n".join(f"{k} {MARK}" for k in range(9)), 1, 25, "9 prompts"),
    ],
)
def test_bad_values_are_refused_before_any_work(
    asked: ArtworkServices, tmp_path: Path, artist: str, prompts: str, seed: int, steps: int, match: str
) -> None:
    desk = asked.drop(None, uploaded(tmp_path, 1))
    with pytest.raises(AttributionError, match=match):
        asked.ask_learned(desk, artist, None, Lesson("cat"), steps, prompts, seed)


def test_without_a_generator_it_says_so(services: Services, tmp_path: Path) -> None:
    plain = fake_collection(tmp_path / "plain", n=10)
    shutil.rmtree(tmp_path / "plain/examples", ignore_errors=True)
    asked = ArtworkServices(Services.open(Settings(collection=plain.path)), tmp_path / "uploads")
    desk = asked.drop(None, uploaded(tmp_path, 1))
    with pytest.raises(CheckpointError, match="no generator"):
        asked.ask_prompts(desk, "Ada", None, "cat", 1)


def test_the_api_answers_keeps_no_file_and_refuses_what_was_not_uploaded(
    shapes_app: str, tmp_path: Path, uploads: Path
) -> None:
    client = Client(shapes_app, verbose=False)
    for seed in (900, 917, 903):
        shape_image(seed).save(tmp_path / f"piece-{seed}.png")
    files = [handle_file(tmp_path / f"piece-{s}.png") for s in (900, 917)]
    told = client.predict(
        files, "Ada", handle_file(tmp_path / "piece-917.png"), "", api_name="/would_be_credited"
    )
    assert told["n_candidates"] == 62 and told["pieces"][0]["title"] == "piece-917"
    assert told["share"] == pytest.approx(sum(p["influence"] for p in told["pieces"]))
    assert holds(uploads, 900, 917, 903) == []
    with pytest.raises(AppError, match="name is empty"):
        client.predict(files, "", handle_file(tmp_path / "piece-903.png"), "", api_name="/would_be_credited")
    with pytest.raises(AppError, match="no images"):
        client.predict([], "Ada", handle_file(tmp_path / "piece-903.png"), "", api_name="/would_be_credited")
    with pytest.raises(AppError):
        client.predict(
            [{"path": str(tmp_path / "piece-900.png")}],
            "Ada",
            handle_file(tmp_path / "piece-903.png"),
            "",
            api_name="/would_be_credited",
        )
    assert holds(uploads, 900, 917) == []
    assert (tmp_path / "piece-900.png").exists(), "only uploaded files are deleted"
