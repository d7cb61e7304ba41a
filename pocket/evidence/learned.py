"""Lets the generator learn from one held-out drawing, and keeps what it draws: `python -m pocket.evidence.learned`.

The tab My artwork shows the pictures before a visitor's own images are learned, by the same code and settings.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from attribution_core.analyses.artwork.lesson import LEARNING, Lesson, WithAndWithout, learn, with_and_without
from attribution_core.analyses.artwork.standing import Artwork, embed
from attribution_core.attribution.attributor import Attributor
from attribution_core.collection.collection import Collection
from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.cards import write_card
from attribution_core.common.files import atomic_path, make_folder
from attribution_core.common.images import png_bytes
from attribution_core.corpus.corpus import Corpus
from attribution_core.corpus.credit import Credit
from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.evidence.learned import DRAWING, FOLDER, picture_names
from attribution_core.generation.generator import Generator
from attribution_core.reports.wording.artwork import lesson_sentence

COLLECTION = Path("checkpoints/pocket")
OUT = CollectionLayout(COLLECTION).evidence(FOLDER)
CHOSEN = "iconify-json-emojione/spouting-whale"
"""Of the 142 held-out drawings under free licences that the benchmark tunes on, one of the five that came closest."""
PROMPTS = 3


@dataclass(frozen=True, eq=False)
class Learned:
    """A held-out drawing with its credit, and what the generator draws without and with it. steps: of learning."""

    image: Image.Image
    credit: Credit
    steps: int
    result: WithAndWithout


def learned_from(
    collection: Collection, generator: Generator, drawing: str, steps: int = LEARNING.steps
) -> Learned:
    """Tune the generator on a held-out drawing and draw with and without. Raises `InvalidInputError`.

    drawing: its id in the split "exemplars".
    """
    held_out = Corpus.open(CollectionLayout(collection.path).corpus, split="exemplars")
    ids = list(held_out.column("id"))
    if drawing not in ids:
        raise InvalidInputError(f"no held-out drawing has the id '{drawing}'.")
    image, credit = held_out.image(ids.index(drawing)), held_out.credit(ids.index(drawing))
    subject = credit.short_caption.rpartition(", ")[0] or credit.caption
    attributor, lesson = Attributor(collection), Lesson(subject)
    candidates = embed(attributor, Artwork(credit.creator or "the artist", (image,), (subject,)))
    customization = learn(generator, candidates, lesson, replace(LEARNING, steps=steps))
    styles = [str(name) for name, _ in collection.corpus.counts("style").most_common() if name]
    prompts = lesson.examples(styles)[:PROMPTS]
    return Learned(
        image,
        credit,
        steps,
        with_and_without(attributor, generator, candidates, customization, lesson, prompts),
    )


def write(out: Path, learned: Learned) -> None:
    """Write the pictures and, last, the card that lists them."""
    credit, result = learned.credit, learned.result
    make_folder(out)
    pictures = {DRAWING: learned.image}
    for k, pair in enumerate(result.pairs, 1):
        pictures |= zip(picture_names(k), (pair.without, pair.learned), strict=True)
    for name, image in pictures.items():
        with atomic_path(out / name) as temporary:
            temporary.write_bytes(png_bytes(image))
    write_card(
        out,
        {
            "what": "a held-out drawing, and what the generator drew without and with having learned from it",
            "command": "python -m pocket.evidence.learned",
            "date": datetime.now(UTC).date().isoformat(),
            "machine": platform.machine(),
            "id": credit.id,
            "title": result.pairs[0].before.best.title,
            "creator": credit.creator,
            "source": credit.source,
            "licence": credit.licence,
            "link": credit.link,
            "steps": learned.steps,
            "seed": result.seed,
            "candidates": result.pairs[0].before.attribution.n_training,
            "pairs": [
                {
                    "prompt": result.lesson.without_token(pair.prompt),
                    "rank_without": pair.before.best.rank,
                    "rank_learned": pair.after.best.rank,
                    "share_without": pair.before.share,
                    "share_learned": pair.after.share,
                }
                for pair in result.pairs
            ],
            "files": list(pictures),
        },
    )


def main(
    collection: Annotated[Path, typer.Option(help="Collection folder with held-out drawings.")] = COLLECTION,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = OUT,
    drawing: Annotated[str, typer.Option(help="Id of the drawing.")] = CHOSEN,
    steps: Annotated[int, typer.Option(min=1, help="Learning steps.")] = LEARNING.steps,
) -> None:
    """Learn from one drawing and write the collection's `evidence/learned`."""
    opened = Collection.open(collection)
    if opened.generator_path is None:
        raise CheckpointError(f"collection '{opened.name}' has no generator, so nothing can be learned.")
    learned = learned_from(opened, Generator.open(opened.generator_path, "auto"), drawing, steps)
    write(out, learned)
    sys.stderr.write(f"{lesson_sentence(learned.result)}\n")


if __name__ == "__main__":
    typer.run(main)
