"""Splits the corpus into training and held-out images, by seed, before anything is trained."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace

import imagehash
import numpy as np
from PIL import Image

from pocket.corpus.drawing import Drawing
from pocket.corpus.sources import ADDED_ICON_SETS, Part

SEED = 20261124
HELD_OUT_CONCEPTS = 42  # concepts that no shipped model ever sees, in any style
HELD_OUT_SINGLES = 220  # single images whose concept is trained in other styles
STYLE_SETS = {"creator": 20, "core theme": 10, "by-sa theme": 24, "gpl theme": 6}
SET_SIZE = (8, 30)
PLANTED = 40
# Two images are near-duplicates below both: bits of a 64-bit perceptual hash, and root mean square
# difference of 32 x 32 thumbnails in 8-bit steps. Looked at on a sheet: above, shapes or colours differ.
HASH_BITS, PIXEL_RMS = 10, 9.0
# Pairs that only the stored WebP brings below both. Looked at: a shaded and a flat drawing, or another figure.
LOOKED_AT = (
    ("iconify-json-fluent-emoji/hair-pick", "iconify-json-fluent-emoji-flat/hair-pick"),
    (
        "iconify-json-fluent-emoji/person-in-suit-levitating",
        "iconify-json-fluent-emoji-flat/person-in-suit-levitating",
    ),
    ("openclipart-png/people/silhouette_female_1", "openclipart-png/people/silhouette_male_1"),
)
_CONCRETE = re.compile(
    r"animal|food|drink|fruit|vegetable|plant|sport|transport|music|clothing|tool|household|"
    r"sky|game|light|office|science"
)


@dataclass(frozen=True)
class Duplicate:
    """A dropped image and the one kept in its place. rms: thumbnail difference in 8-bit steps."""

    dropped: Drawing
    kept: Drawing
    bits: int
    rms: float


@dataclass(frozen=True)
class Placed:
    """A drawing with its split, "train" or "exemplars". exemplar_set: "" for a single image."""

    drawing: Drawing
    split: str
    exemplar_set: str = ""
    held_out: str = ""  # "concept" (in every style), "style" (known elsewhere), "set"
    planted: str = ""


def drop_near_duplicates(drawings: list[Drawing]) -> tuple[list[Drawing], list[Duplicate]]:
    """Keep the first image of every near-duplicate group, across all parts and styles.

    Returns the kept drawings in order, and what was dropped with the image it repeats.
    """
    hashes = np.array([_phash(d.pixels) for d in drawings], dtype=np.uint64)
    small = (
        np.stack(
            [np.asarray(Image.fromarray(d.pixels).resize((32, 32), Image.Resampling.BOX)) for d in drawings]
        )
        .reshape(len(drawings), -1)
        .astype(np.float32)
    )
    kept: list[int] = []
    dropped: list[Duplicate] = []
    for i in range(len(drawings)):
        earlier = np.array(kept, dtype=np.int64)
        bits = _popcount(hashes[earlier] ^ hashes[i]) if kept else np.zeros(0, dtype=np.int64)
        near = earlier[bits <= HASH_BITS]
        rms = np.sqrt(((small[near] - small[i]) ** 2).mean(axis=1)) if len(near) else np.zeros(0)
        if len(near) and rms.min() < PIXEL_RMS:
            j = int(rms.argmin())
            dropped.append(
                Duplicate(drawings[i], drawings[near[j]], int(bits[bits <= HASH_BITS][j]), float(rms[j]))
            )
        else:
            kept.append(i)
    return [drawings[i] for i in kept], dropped


def _phash(pixels: np.ndarray) -> int:
    return int(str(imagehash.phash(Image.fromarray(pixels))), 16)


def _popcount(values: np.ndarray) -> np.ndarray:
    return np.unpackbits(values.view(np.uint8).reshape(len(values), 8), axis=1).sum(axis=1)


def split(drawings: list[Drawing]) -> list[Placed]:
    """Assign every drawing to a split. CC BY-SA and GPL images are never trained on; they only form style sets.

    Drawings of those parts that fall in no set are placed in the split "spare" and not shipped.
    """
    rng = np.random.default_rng(SEED)
    places: dict[str, Placed] = {}
    first = [d for d in drawings if d.source not in ADDED_ICON_SETS]
    core = [d for d in first if d.source.part is Part.CORE]
    _hold_out_sets(first, core, places, rng)
    _hold_out_concepts(core, places, rng)
    _hold_out_singles(core, places, rng)
    for d in first:
        places.setdefault(d.id, Placed(d, "train" if d.source.part is Part.CORE else "spare"))
    _plant([places[d.id] for d in core], places, rng)
    held_out = {p.drawing.concept for p in places.values() if p.held_out == "concept"}
    for d in drawings:
        if d.source in ADDED_ICON_SETS:
            held = d.concept in held_out
            places[d.id] = Placed(d, "exemplars", held_out="concept") if held else Placed(d, "train")
    return [places[d.id] for d in drawings]


def _hold_out_sets(
    drawings: list[Drawing], core: list[Drawing], places: dict[str, Placed], rng: np.random.Generator
) -> None:
    by_creator, themes = defaultdict(list), defaultdict(list)
    for d in drawings:
        if d.style == "clip art":
            by_creator[f"creator: {d.creator}"].append(d)
        else:
            themes[f"{d.source.part} theme", f"{d.style}: {d.group}"].append(d)
    _take_sets(by_creator, STYLE_SETS["creator"], places, rng)
    for kind, wanted in STYLE_SETS.items():
        if kind != "creator":
            _take_sets(
                {name: ds for (k, name), ds in themes.items() if k == kind and "face" not in name},
                wanted,
                places,
                rng,
            )


def _take_sets(
    groups: dict[str, list[Drawing]], wanted: int, places: dict[str, Placed], rng: np.random.Generator
) -> None:
    # A theme of more than 30 is cut to 30 where its part is not trained on; a trained one must fit whole.
    fitting = {
        name: ds
        for name, ds in groups.items()
        if len(ds) >= SET_SIZE[0] and (len(ds) <= SET_SIZE[1] or ds[0].source.part is not Part.CORE)
    }
    for name in rng.permutation(sorted(fitting))[:wanted]:
        for d in fitting[name][: SET_SIZE[1]]:
            places[d.id] = Placed(d, "exemplars", str(name), "set")


def _hold_out_concepts(core: list[Drawing], places: dict[str, Placed], rng: np.random.Generator) -> None:
    styles = Counter(d.concept for d in core if d.concept and d.id not in places)
    labels = {d.concept: d.label for d in core if d.style != "clip art"}
    groups = {d.concept: d.group for d in core}
    candidates = sorted(
        c for c, n in styles.items() if n >= 5 and _CONCRETE.search(groups[c]) and c in labels
    )
    chosen = {str(c) for c in rng.permutation(candidates)[:HELD_OUT_CONCEPTS]}
    words = {labels[c] for c in chosen}
    for d in core:
        if d.id in places:
            continue
        if d.concept in chosen:
            places[d.id] = Placed(d, "exemplars", held_out="concept")
        elif d.style == "clip art" and any(re.search(rf"\b{re.escape(w)}s?\b", d.label) for w in words):
            # A clip art "old owl" would teach the held-out concept "owl" under another name.
            places[d.id] = Placed(d, "spare")


def _hold_out_singles(core: list[Drawing], places: dict[str, Placed], rng: np.random.Generator) -> None:
    free = [d for d in core if d.id not in places and d.concept]
    styles = Counter(d.concept for d in free)
    candidates = [d for d in free if styles[d.concept] >= 3 and d.style != "clip art"]
    taken: Counter[str] = Counter()
    for i in rng.permutation(len(candidates)):
        d = candidates[i]
        if sum(p.held_out == "style" for p in places.values()) == HELD_OUT_SINGLES:
            return
        if not taken[d.concept]:
            taken[d.concept] += 1
            places[d.id] = Placed(d, "exemplars", held_out="style")


def _plant(core: list[Placed], places: dict[str, Placed], rng: np.random.Generator) -> None:
    """Choose pairs of the same style and theme but different concepts: one image is planted, the other its control."""
    pools = defaultdict(list)
    for p in core:
        if p.split == "train" and p.drawing.style != "clip art" and _CONCRETE.search(p.drawing.group):
            pools[p.drawing.style, p.drawing.group].append(p)
    pairs = []
    used: set[str] = set()
    for key in sorted(pools):
        pool = [pools[key][i] for i in rng.permutation(len(pools[key]))]
        fresh = [p for p in pool if p.drawing.concept not in used]
        if len(fresh) >= 6:
            used |= {fresh[0].drawing.concept, fresh[1].drawing.concept}
            pairs.append((fresh[0], fresh[1]))
    for i in rng.permutation(len(pairs))[:PLANTED]:
        for place, kind in zip(pairs[i], ("planted", "control"), strict=True):
            places[place.drawing.id] = replace(place, planted=kind)
