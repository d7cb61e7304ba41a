"""Finding training images by words, maker, style and licence."""

from __future__ import annotations

from pathlib import Path

import pytest

from attribution_core.common.images import png_bytes
from attribution_core.corpus.corpus import Corpus
from attribution_core.corpus.search import CorpusSearch, Wanted
from tests.support.fakes import shape_image

ROWS = (
    ("a", "black cat, pet, noto style", "Ada", "noto", "CC-BY-4.0"),
    ("b", "cat face, noto style", "Ada", "noto", "CC-BY-4.0"),
    ("c", "cat, clip art style", "Ben Ödön", "clip art", "CC0-1.0"),
    ("d", "scatter plot, clip art style", "Ben Ödön", "clip art", "CC0-1.0"),
    ("e", "", "", "", ""),
)


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> CorpusSearch:
    folder = tmp_path_factory.mktemp("corpus")
    image = png_bytes(shape_image(1))
    Corpus.write(
        Path(folder) / "train-0.parquet",
        [
            {
                "id": name,
                "image": {"bytes": image, "path": ""},
                "caption": caption,
                "creator": creator,
                "style": style,
                "licence": licence,
            }
            for name, caption, creator, style, licence in ROWS
        ],
    )
    return CorpusSearch(Corpus.open(folder))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), [0, 1, 2, 3, 4]),
        (Wanted("cat"), [2, 1, 0]),  # "cat" itself, what begins with it, what has it; no "scatter"
        (Wanted("CAT fa"), [1]),
        (Wanted("cat dog"), []),
        (Wanted("ödön"), [2, 3]),
        (Wanted("cat", creator="Ada"), [1, 0]),
        (Wanted(style="clip art"), [2, 3]),
        (Wanted(licence="CC0-1.0", words="plot"), [3]),
        (Wanted(creator="Nobody"), []),
        (Wanted("!? ,"), [0, 1, 2, 3, 4]),  # no word at all
        (Wanted("c.t"), []),  # no pattern
    ],
)
def test_what_is_found(search: CorpusSearch, wanted: Wanted, found: list[int]) -> None:
    assert search.find(wanted).tolist() == found


def test_values_are_counted_most_frequent_first_and_empty_ones_left_out(search: CorpusSearch) -> None:
    assert search.values("creator") == [("Ada", 2), ("Ben Ödön", 2)]
    assert search.values("style") == [("clip art", 2), ("noto", 2)]


def test_a_whole_word_comes_before_the_beginning_of_another(tmp_path: Path) -> None:
    image = {"bytes": png_bytes(shape_image(1)), "path": ""}
    captions = ("carrot", "card", "old car", "car", "car door")
    rows = [{"id": f"n{k}", "image": image, "caption": caption} for k, caption in enumerate(captions)]
    Corpus.write(tmp_path / "train-0.parquet", rows)
    assert CorpusSearch(Corpus.open(tmp_path)).find(Wanted("car")).tolist() == [3, 4, 2, 0, 1]


def test_words_that_no_text_has_are_named_and_likely_ones_suggested(search: CorpusSearch) -> None:
    assert search.unsaid("Kat cat kat ca öd") == ["kat"], "a beginning of a word is no unknown word"
    assert search.unsaid("") == search.unsaid("!?") == []
    assert search.suggest("styel")[0] == "style"
    assert search.suggest("x" * 10_000) == search.suggest("") == []


def test_an_id_has_a_position(search: CorpusSearch) -> None:
    assert search.position("c") == 2 and search.position("nobody") is None
