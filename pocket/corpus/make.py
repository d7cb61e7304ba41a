"""Builds the pocket corpus: `python -m pocket.corpus` writes `checkpoints/pocket/corpus`.

Fetches pinned packages (`pocket.corpus.sources`), renders them (`pocket.corpus.drawing`), drops near-duplicates and
places every image in a split (`pocket.corpus.splits`), and writes Parquet files that `datasets` opens. The same
packages give the same rows, whenever and wherever it runs.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.cards import write_card
from attribution_core.common.files import sha256_file, write_json_atomic
from attribution_core.corpus.corpus import Corpus
from pocket.corpus.drawing import SIZE, Drawing, read_clip_art, read_icons, read_stamps
from pocket.corpus.emoji import EmojiNames
from pocket.corpus.sources import (
    ADDED_ICON_SETS,
    ALL_SOURCES,
    CLIP_ART,
    CLIP_ART_CREDITS,
    EMOJI_NAMES,
    ICON_SETS,
    STAMPS,
    Part,
    Source,
    fetch,
)
from pocket.corpus.splits import (
    HASH_BITS,
    LOOKED_AT,
    PIXEL_RMS,
    SEED,
    Duplicate,
    Placed,
    drop_near_duplicates,
    split,
)

OUT = CollectionLayout(Path("checkpoints/pocket")).corpus
SOURCES = Path(".work/sources")
TAGS = "tags.json"  # training image -> other words for it
WEBP_QUALITY = 85

app = typer.Typer(help=__doc__, pretty_exceptions_enable=False, add_completion=False)


def read_all(folder: Path, added: tuple[Source, ...] = ()) -> tuple[list[Drawing], Counter[str]]:
    """Fetch and read every package, in a fixed order. Returns drawings and counts of what was skipped.

    added: icon sets that are read after all others, so that these stay as they are without them.
    """
    packages = {source.package: fetch(source, folder) for source in ALL_SOURCES}
    names = EmojiNames(packages[EMOJI_NAMES.package])
    for source in ICON_SETS:
        names.learn(packages[source.package])
    skipped: Counter[str] = Counter()
    drawings: list[Drawing] = []
    for source in ICON_SETS:
        drawings += read_icons(source, packages[source.package], names, skipped)
        _say(f"{source.style}: {len(drawings)} drawings so far")
    drawings += read_clip_art(
        CLIP_ART, packages[CLIP_ART.package], packages[CLIP_ART_CREDITS.package], names, skipped
    )
    drawings += read_stamps(STAMPS, packages[STAMPS.package], skipped)
    # A stamp that comes as PNG and as SVG has one name: the SVG, read later, takes its place.
    unique = {drawing.id: drawing for drawing in drawings}
    skipped["stamp: the same as PNG and as SVG"] += len(drawings) - len(unique)
    _say(f"clip art and stamps: {len(unique)} drawings")
    result = list(unique.values())
    if added:
        names.learn_run_together(packages[EMOJI_NAMES.package])
    for source in added:
        package = fetch(source, folder)
        result += read_icons(source, package, names, skipped)
        _say(f"{source.style}: {len(result)} drawings")
    return result, skipped


def captions(drawing: Drawing) -> tuple[str, str]:
    """Return the long and short caption: "fox, animal face, noto style" and "fox, noto style"."""
    tags = other_words(drawing)
    extra = f", {', '.join(tags[:2])}" if tags else ""
    return f"{drawing.label}{extra}, {drawing.style} style", f"{drawing.label}, {drawing.style} style"


def other_words(drawing: Drawing) -> list[str]:
    """Return the tags that add to the label, in the source's order."""
    words = set(drawing.label.split())
    # "hash" is what a Perl script once wrote in place of an unknown keyword.
    return [
        t
        for t in drawing.tags
        if re.fullmatch(r"[a-z][a-z -]{2,24}", t) and t != "hash" and not set(t.split()) <= words
    ]


def row(place: Placed) -> dict[str, object]:
    """Return a Parquet row with the columns of `attribution_core.corpus`."""
    d = place.drawing
    caption, short = captions(d)
    buffer = io.BytesIO()
    Image.fromarray(d.pixels).save(buffer, "WEBP", quality=WEBP_QUALITY, method=6)
    return {
        "id": d.id,
        "image": {"bytes": buffer.getvalue(), "path": f"{d.id}.webp"},
        "caption": caption,
        "short_caption": short,
        "concept": d.concept,
        "concept_label": d.label,
        "style": d.style,
        "group": d.group,
        "creator": d.creator,
        "source": d.source.package,
        "source_version": d.source.version,
        "licence": d.source.licence,
        "link": d.source.link,
        "width": SIZE,
        "height": SIZE,
        "part": str(d.source.part),
        "planted": place.planted,
        "exemplar_set": place.exemplar_set,
        "held_out": place.held_out,
    }


def card(places: list[Placed], skipped: Counter[str], duplicates: list[Duplicate]) -> dict[str, object]:
    """Return the corpus's card: content, sources, splits and skipped images."""
    shipped = [p for p in places if p.split != "spare"]

    def chosen(**want: str) -> list[str]:
        return [p.drawing.id for p in shipped if all(getattr(p, k) == v for k, v in want.items())]

    return {
        "what": "Pocket corpus: drawings with captions and credits; `train` is the whole training set of the "
        "pocket generator, `exemplars` are held out from every shipped model.",
        "images": len(shipped),
        "size": [SIZE, SIZE],
        "format": f"WebP, quality {WEBP_QUALITY}",
        "splits": dict(Counter(f"{p.split}-{p.drawing.source.part}" for p in shipped)),
        "styles": dict(Counter(f"{p.split}: {p.drawing.style}" for p in shipped)),
        "licences": {
            "core": "Apache-2.0, MIT, CC-BY-4.0 and Public Domain (each row names its own)",
            "by-sa": "CC-BY-SA-4.0: exemplars only, no shipped weights were trained on it",
            "gpl": "GPL-2.0: exemplars only, no shipped weights were trained on it",
        },
        "sources": [
            {
                "package": s.package,
                "version": s.version,
                "sha256": s.sha256,
                "creator": s.creator,
                "licence": s.licence,
                "link": s.link,
            }
            for s in (*ALL_SOURCES, *ADDED_ICON_SETS)
            if s in ALL_SOURCES or any(p.drawing.source == s for p in shipped)
        ],
        "seed": SEED,
        "held_out": {
            "concepts in every style": sorted(
                {
                    p.drawing.label
                    for p in shipped
                    if p.held_out == "concept" and p.drawing.style != "clip art"
                }
            ),
            "singles of held-out concepts": len(chosen(held_out="concept")),
            "singles of known concepts": len(chosen(held_out="style")),
            "style sets": dict(Counter(p.exemplar_set for p in shipped if p.exemplar_set)),
        },
        "planted": {"repeated": chosen(planted="planted"), "controls": chosen(planted="control")},
        "near_duplicates": {
            "looked_at_and_kept": [sorted(pair) for pair in LOOKED_AT],
            "rule": f"perceptual hash within {HASH_BITS} of 64 bits and 32 x 32 RMS under {PIXEL_RMS}",
            "dropped": [
                {"dropped": d.dropped.id, "kept": d.kept.id, "bits": d.bits, "rms": round(d.rms, 2)}
                for d in duplicates
            ],
        },
        "skipped": dict(sorted(skipped.items())),
        "spare": sum(p.split == "spare" for p in places),
    }


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Corpus folder to write.")] = OUT,
    sources: Annotated[Path, typer.Option(help="Folder of fetched packages.")] = SOURCES,
    second_edition: Annotated[
        bool, typer.Option("--second-edition", help="With the icon sets that the next edition adds.")
    ] = False,
) -> None:
    """Fetch, render, drop near-duplicates, split and write the corpus."""
    drawings, skipped = read_all(sources, ADDED_ICON_SETS if second_edition else ())
    drawings, duplicates = drop_near_duplicates(drawings)
    _say(f"{len(duplicates)} near-duplicates dropped, {len(drawings)} left")
    places = split(drawings)
    files = {}
    for name in ("train", "exemplars"):
        for part in Part:
            rows = [row(p) for p in places if p.split == name and p.drawing.source.part is part]
            if rows:
                target = out / f"{name}-{part}.parquet"
                Corpus.write(target, rows)
                files[target.name] = sha256_file(target)
                _say(f"{target}: {len(rows)} images, {target.stat().st_size / 1e6:.1f} MB")
    if second_edition:
        tags = {p.drawing.id: other_words(p.drawing) for p in places if p.split == "train"}
        write_json_atomic(out / TAGS, tags)
    write_card(out, card(places, skipped, duplicates) | {"files": files})
    _duplicate_sheet(duplicates, sources.parent / "near_duplicates.png")


def _duplicate_sheet(duplicates: list[Duplicate], path: Path) -> None:
    """Draw the dropped pairs closest to the threshold for inspection: left kept, right dropped."""
    pairs = sorted(duplicates, key=lambda d: -d.rms)[:96]
    tiles = [np.concatenate([d.kept.pixels, d.dropped.pixels], axis=1)[::2, ::2] for d in pairs]
    tiles += [np.full((64, 128, 3), 255, np.uint8)] * (-len(tiles) % 8)
    if tiles:
        sheet = np.concatenate([np.concatenate(tiles[k : k + 8], axis=1) for k in range(0, len(tiles), 8)])
        Image.fromarray(sheet).save(path)
        _say(f"look at {path}: kept (left) and dropped (right) near the threshold")


def _say(text: str) -> None:
    sys.stderr.write(f"{json.dumps(text)[1:-1]}\n")
