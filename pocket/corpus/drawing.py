"""Renders the pinned packages into 128 x 128 drawings with words and credits."""

from __future__ import annotations

import io
import json
import os
import re
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

from pocket.corpus.emoji import EmojiNames, clean_label
from pocket.corpus.sources import Source

SIZE = 128
# An image this flat (standard deviation of its 8-bit values) is blank or a single colour.
FLAT = 10.0
CLIP_ART_FOLDERS = frozenset(
    {
        "animals",
        "food",
        "plants",
        "people",
        "recreation",
        "transportation",
        "tools",
        "buildings",
        "containers",
        "electronics",
        "education",
        "decorations",
        "science",
        "special",
    }
)
_NO_PICTURE = re.compile(r"flag|/map|cards|aiga|road_?sign|chess")
# Files that hold a "linked image not found" notice where a drawing should be; found on the duplicate sheet.
_PLACEHOLDERS = frozenset({"duck_yellow_ii_kurt_cagl_", "tux_didier_fabert_01"})
# Titles that name a series, not the picture: the file's name says more.
_SERIES = re.compile(r"clipart|clip art|bibliografia|symbol|svg|icons?$|unnamed|untitled|drawing$|^card$")
STAMP_FOLDERS = frozenset(
    {
        "animals",
        "clothes",
        "food",
        "hobbies",
        "household",
        "naturalforces",
        "people",
        "plants",
        "seasonal",
        "space",
        "sports",
        "town",
        "vehicles",
    }
)


@dataclass(frozen=True)
class Drawing:
    """An image before it is placed in the corpus. pixels: (128, 128, 3) uint8."""

    source: Source
    name: str
    label: str
    tags: tuple[str, ...]
    concept: str
    group: str
    style: str
    creator: str
    pixels: np.ndarray = field(repr=False)

    @property
    def id(self) -> str:
        """An id that is stable across runs: the package and the image's name in it."""
        return f"{self.source.slug}/{self.name}"


def read_icons(source: Source, package: Path, names: EmojiNames, skipped: Counter[str]) -> list[Drawing]:
    """Render an Iconify set's icons of known concepts; counts skipped ones by reason."""
    data = json.loads((package / "package/icons.json").read_text())
    width, height = data.get("width", 16), data.get("height", 16)
    chosen: dict[str, tuple[str, str]] = {}
    for name, icon in data["icons"].items():
        emoji = names.find(name)
        if icon.get("hidden") or emoji is None:
            skipped[f"{source.style}: no kept concept (symbols, flags, skin tones, unmatched names)"] += 1
        elif emoji.hexcode in chosen:
            skipped[f"{source.style}: second icon of a concept"] += 1
        else:
            box = [
                icon.get("left", 0),
                icon.get("top", 0),
                icon.get("width", width),
                icon.get("height", height),
            ]
            body = icon["body"].replace("currentColor", "#000")
            chosen[emoji.hexcode] = (
                name,
                (
                    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                    f'viewBox="{" ".join(map(str, box))}" width="256" height="256">{body}</svg>'
                ),
            )
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        pictures = list(pool.map(_render_svg, [svg for _, svg in chosen.values()], chunksize=32))
    drawings = []
    for (hexcode, (name, _)), pixels in zip(chosen.items(), pictures, strict=True):
        emoji = names.by_hex[hexcode.lower().replace("-fe0f", "")]
        if pixels.std() < FLAT:
            skipped[f"{source.style}: blank"] += 1
            continue
        drawings.append(
            Drawing(
                source,
                name,
                emoji.label,
                emoji.tags,
                hexcode,
                emoji.subgroup,
                source.style,
                source.creator,
                pixels,
            )
        )
    return drawings


def read_clip_art(
    source: Source, package: Path, credits: Path, names: EmojiNames, skipped: Counter[str]
) -> list[Drawing]:
    """Read the clip art whose SVG metadata has a title and a creator."""
    root, svg_root = package / "usr/share/openclipart/png", credits / "usr/share/openclipart/svg"
    found = []
    for path in sorted(root.rglob("*.png")):
        relative = path.relative_to(root)
        text = _text(svg_root / relative.with_suffix(".svg"))
        creator = _person(_rdf(text, r"<dc:creator>.*?<dc:title>([^<]*)"))
        title = _title(_rdf(text, r"<dc:title>([^<]*)"), relative.stem, creator)
        if relative.parts[0] not in CLIP_ART_FOLDERS or _NO_PICTURE.search(str(relative).lower()):
            skipped["clip art: folder left out (symbols, maps, flags, logos, cards, shapes, unsorted)"] += 1
        elif not creator or creator.lower() in ("unknown", "anonymous", "open clip art library", "unsorted"):
            skipped["clip art: no named creator"] += 1
        elif path.stem in _PLACEHOLDERS:
            skipped["clip art: placeholder for a missing linked image"] += 1
        elif not 3 <= len(title) <= 60 or not re.search("[a-z]{3}", title):
            skipped["clip art: no usable title"] += 1
        else:
            found.append((path, relative, title, creator, text))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        pictures = list(pool.map(_fit_file, [path for path, *_ in found], chunksize=32))
    drawings = []
    for (_, relative, title, creator, text), pixels in zip(found, pictures, strict=True):
        if pixels is None or pixels.std() < FLAT:
            skipped["clip art: unreadable, too thin or blank"] += 1
            continue
        subject = re.search(r"<dc:subject>(.*?)</dc:subject>", text, re.S)
        words = re.findall(r"<rdf:li>([^<]*)</rdf:li>", subject.group(1)) if subject else []
        tags = tuple(w.strip().lower() for w in words if "unsorted" not in w.lower())
        emoji = names.find(title.replace(" ", "-"))
        drawings.append(
            Drawing(
                source,
                str(relative.with_suffix("")),
                title,
                tags,
                emoji.hexcode if emoji else "",
                relative.parent.name.replace("_", " "),
                source.style,
                creator,
                pixels,
            )
        )
    return drawings


def read_stamps(source: Source, package: Path, skipped: Counter[str]) -> list[Drawing]:
    """Read the Tux Paint stamps with an English description; photographs and cartoons are separate styles."""
    root = package / "usr/share/tuxpaint/stamps"
    drawings = []
    for path in sorted([*root.rglob("*.png"), *root.rglob("*.svg")]):
        relative = path.relative_to(root)
        label = clean_label(_text(path.with_suffix(".txt")).split("\n")[0])
        if relative.parts[0] not in STAMP_FOLDERS or any(
            k in str(relative) for k in ("money", "chess", "mirror")
        ):
            skipped["stamp: folder left out (symbols, money, chess)"] += 1
            continue
        pixels = _fit_file(path) if label else None
        if pixels is None or pixels.std() < FLAT:
            skipped["stamp: no sentence, unreadable or blank"] += 1
            continue
        colours = len(
            np.unique(np.asarray(Image.fromarray(pixels).resize((64, 64))).reshape(-1, 3) // 8, axis=0)
        )
        # 180 distinct colours at 5 bits parts photographs from drawings; looked at on a sheet of 400.
        style = "cartoon" if "cartoon" in str(relative) or path.suffix == ".svg" or colours < 180 else "photo"
        drawings.append(
            Drawing(
                source,
                str(relative.with_suffix("")),
                label[:60],
                (),
                "",
                relative.parts[0],
                style,
                source.creator,
                pixels,
            )
        )
    return drawings


def _text(path: Path) -> str:
    return path.read_text(errors="ignore") if path.exists() else ""


def _rdf(text: str, pattern: str) -> str:
    found = re.search(pattern, text, re.S)
    return re.sub(r"\s+", " ", found.group(1)).strip() if found else ""


def _person(creator: str) -> str:
    """Remove e-mail addresses from a creator's name: "Ann (ann@x.org)" -> "Ann", "ann@x.org" -> "ann"."""
    return re.sub(r"@\S+", "", re.sub(r"\s*[(\[<].*", "", creator) or creator.strip("([<>])")).strip()


def _title(title: str, stem: str, creator: str) -> str:
    title = clean_label(title)
    if _SERIES.search(title):
        title = clean_label(stem.replace("_", " ").replace("-", " "))
        title = re.sub(
            "|".join(re.escape(w) for w in creator.lower().split() if len(w) > 3) or "$^", "", title
        )
    return re.sub(r"\s+", " ", re.sub(r"\d+|[_#]|\b[a-z]\b", " ", title)).strip(" -")


def _render_svg(svg: str) -> np.ndarray:
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, background="white"))
    return np.asarray(
        Image.open(io.BytesIO(png)).convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    )


def _fit_file(path: Path) -> np.ndarray | None:
    """Crop to the drawing, centre it on a white square, and resize; None if the image is empty."""
    # The files are pinned: the few of 170 megapixels are drawings, not bombs.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    try:
        if path.suffix == ".svg":
            png = bytes(resvg_py.svg_to_bytes(svg_string=_text(path), width=256))
            image = Image.open(io.BytesIO(png)).convert("RGBA")
        else:
            image = Image.open(path).convert("RGBA")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    box = image.getchannel("A").point(lambda a: 255 if a > 8 else 0).getbbox()
    if box is None:
        return None
    image = image.crop(box)
    if min(image.size) < 8 or max(image.size) > 6 * min(image.size):
        return None
    side = int(max(image.size) * 1.08)
    canvas = Image.new("RGBA", (side, side), "white")
    canvas.alpha_composite(image, ((side - image.width) // 2, (side - image.height) // 2))
    return np.asarray(canvas.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS))
