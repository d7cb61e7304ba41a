"""Measures the search by words: `python -m benchmarks.words`. One JSON line, with the machine and date.

Of 40 ordinary words, twenty are what captions call a thing, and twenty are other words for such things. An image counts
as right if its caption has one of the words that are listed here, or its plural: what shows a thing without saying so
counts as wrong, so the search by meaning is rather better than its figure. Both searches are asked for twelve images; a
search that finds fewer is judged by those it finds, and one that finds none has a precision of 0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from attribution_core.analyses.word_search import WordSearch, method_with_text
from attribution_core.collection.collection import Collection
from attribution_core.corpus.search import CorpusSearch, Wanted
from attribution_core.settings import shipped
from benchmarks.query import machine, summary, timed

TOP = 12
USUAL = (
    "rabbit car tree house dog cat fish bird flower boat apple horse clock guitar bicycle moon star shoe umbrella cake"
).split()
OTHER = {
    "canine": "dog puppy poodle beagle bulldog",
    "feline": "cat kitten tiger lion leopard",
    "infant": "baby",
    "timepiece": "clock watch hourglass",
    "physician": "doctor health nurse",
    "spectacles": "glasses sunglasses eyeglasses",
    "serpent": "snake",
    "steed": "horse pony",
    "attire": "shirt dress clothing clothes coat kimono sari jeans",
    "blossom": "flower tulip rose hibiscus sunflower",
    "locomotive": "train railway engine",
    "motorbike": "motorcycle scooter",
    "tortoise": "turtle",
    "lavatory": "toilet restroom",
    "cutlery": "fork knife spoon",
    "residence": "house home building",
    "aeroplane": "airplane plane aircraft",
    "footwear": "shoe boot sandal sneaker",
    "telly": "television tv",
    "brolly": "umbrella",
}


def is_right(caption: str, accepted: Sequence[str]) -> bool:
    """Whether a caption has one of the words or its plural."""
    words = set(re.findall(r"\w+", caption.casefold()))
    return any({word, f"{word}s", f"{word}es"} & words for word in accepted)


def precision(captions: Sequence[str], accepted: Sequence[str]) -> float:
    """The part of the captions that is right; 0 where there are none."""
    return float(np.mean([is_right(caption, accepted) for caption in captions])) if captions else 0.0


def main(
    collection: Annotated[Path | None, typer.Option(help="Collection; default: the pocket one.")] = None,
) -> None:
    """Measure both searches and print one JSON line."""
    own = Collection.open(collection or shipped("pocket"))
    method = method_with_text(own)
    if method is None:
        raise typer.BadParameter("no encoder of this collection has a text side.")
    by_meaning = WordSearch(Collection.open(own.path, method))
    by_caption, captions = CorpusSearch(own.corpus), own.corpus.column("caption")
    by_meaning.nearest("warm", TOP)
    figures: dict[str, Any] = {}
    seconds = []
    for kind, words in (("usual", {word: word for word in USUAL}), ("other", OTHER)):
        found: dict[str, list[float]] = {"captions": [], "meaning": []}
        for word, accepted in words.items():
            took, near = timed(lambda word=word: by_meaning.nearest(word, TOP))
            seconds.append(took)
            for name, positions in (("captions", by_caption.find(Wanted(word))[:TOP]), ("meaning", near)):
                found[name].append(precision([captions[int(k)] for k in positions], accepted.split()))
        figures[kind] = {
            "words": len(words),
            **{f"precision@{TOP}, {name}": round(float(np.mean(each)), 3) for name, each in found.items()},
            "by word": {
                word: [round(c, 2), round(m, 2)]
                for word, c, m in zip(words, found["captions"], found["meaning"], strict=True)
            },
        }
    date = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {"collection": own.name, "method": method, "search by meaning": summary(seconds)}
    print(json.dumps({**facts, **figures, "date": date, "machine": machine()}))


if __name__ == "__main__":
    typer.run(main)
