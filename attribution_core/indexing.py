"""Makes a collection of a person's own images; survives a kill at any point and goes on where it stopped.

Images go through in shards. A shard is done when its features file exists, which is written last and under
a temporary name; a killed run loses at most the shard it was in, and never doubles an image.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from attribution_core.attribution import Collection
from attribution_core.calibration import Calibrator
from attribution_core.cards import atomic_path, read_card, write_json_atomic
from attribution_core.corpus import TEXT_COLUMNS, Corpus
from attribution_core.encoders import load_encoder
from attribution_core.errors import CheckpointError, InvalidImageError, InvalidInputError
from attribution_core.images import SUFFIXES, read_image
from attribution_core.mappers import MapperPair
from attribution_core.protocols import ImageEncoder
from attribution_core.settings import shipped

THUMBNAIL = 256
SHARD = 256
SHIPPED = shipped("pocket")
FITTED_ELSEWHERE = "fitted on another collection"


@dataclass(frozen=True)
class Skipped:
    """An image that is not in the collection, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class IndexReport:
    """What `build_collection` did. notice: a sentence about the calibrator, "" where there is none to say."""

    collection: Collection
    skipped: tuple[Skipped, ...]
    notice: str = ""


@dataclass(frozen=True)
class Progress:
    """How far a build is, in images."""

    done: int
    total: int


def build_collection(images: Path | str, out: Path | str, *, encoder: str = "efficientnet-lite0",
                     mappers: Path | str | None = None, factory: str = "Flat", metadata: Path | str | None = None,
                     device: str = "auto", on_progress: Callable[[Progress], None] | None = None,
                     loaded: ImageEncoder | None = None) -> IndexReport:
    """Encode images and write a collection's folder.

    images: a folder (searched with its sub-folders) or a Parquet file with an `image` column. out: new or
    half-built folder. mappers: folder of a mapper pair, identity by default. metadata: CSV or Parquet with a
    column `file` (path relative to the folder, or the Parquet rows' `id`) and any of the corpus's text
    columns (caption, creator, licence, link, ...). loaded: an encoder to use as it is, in place of `encoder`; one of
    your own, too (see `ImageEncoder`).
    Bad images are skipped and listed in `out`/skipped.json. Raises `InvalidInputError` for what is no source
    of images or holds none, `CheckpointError` where `out` holds something else.
    """
    source, folder = Path(images), Path(out)
    files = _list_files(source)
    extra = _read_metadata(Path(metadata)) if metadata else {}
    network = loaded or load_encoder(encoder, device=device)
    pair = MapperPair.load(mappers, encoder=network.name) if mappers else None
    _claim(folder, {"images": str(source.resolve()), "encoder": network.name, "files": files,
                    "metadata": sorted(extra.items())})
    shards = range(0, len(files), SHARD)
    for number, start in enumerate(shards):
        if not _features(folder, number).exists():
            _build_shard(source, files[start:start + SHARD], extra, network, folder, number)
        if on_progress:
            on_progress(Progress(min(start + SHARD, len(files)), len(files)))
    return _finish(folder, source, network.name, len(shards), pair, factory)


def _list_files(source: Path) -> list[str]:
    if source.is_dir():
        files = sorted(str(p.relative_to(source)) for p in source.rglob("*")
                       if p.suffix.lower() in SUFFIXES and p.is_file())
    elif source.suffix == ".parquet" and source.is_file():
        table = _parquet(source)
        names = table["id"].to_pylist() if "id" in table.column_names else range(table.num_rows)
        files = [str(name) for name in names]
        if len(set(files)) != len(files):
            raise InvalidInputError(f"'{source}' has repeated values in column 'id'; every image needs its own.")
    else:
        raise InvalidInputError(f"'{source}' is neither a folder nor a Parquet file; give a folder of images "
                                "(PNG, JPEG, WebP, GIF, BMP, TIFF) or a .parquet file with an 'image' column.")
    if not files:
        raise InvalidInputError(f"'{source}' holds no images; expected files ending in "
                                f"{', '.join(sorted(SUFFIXES))}.")
    return files


def _parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidInputError(f"'{path}' cannot be read as Parquet ({error}); check the file.") from error
    return table


def _read_metadata(path: Path) -> dict[str, dict[str, str]]:
    try:
        if path.suffix == ".parquet":
            rows = _parquet(path).to_pylist()
        else:
            rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(f"'{path}' cannot be read as CSV ({error}); give UTF-8 CSV or Parquet.") from error
    if not rows or "file" not in rows[0]:
        raise InvalidInputError(f"'{path}' has no column 'file' that names the images; its first row should read "
                                "like: file,caption,creator,licence,link.")
    allowed = set(TEXT_COLUMNS) - {"id"}
    return {str(row["file"]): {k: str(v) for k, v in row.items() if k in allowed and v is not None} for row in rows}


def _claim(folder: Path, plan: Mapping[str, Any]) -> None:
    """Start in an empty folder, or go on in one that an equal call began."""
    path = folder / "plan.json"
    plan = json.loads(json.dumps(plan))
    if path.exists():
        if json.loads(path.read_text()) != plan:
            raise CheckpointError(f"'{folder}' was begun with other images, metadata or encoder; give another "
                                  "--out, or delete that folder.")
    elif folder.exists() and any(folder.iterdir()):
        raise CheckpointError(f"'{folder}' is not empty and was not begun by 'index'; give another --out.")
    else:
        write_json_atomic(path, plan)


def _features(folder: Path, number: int) -> Path:
    return folder / "features" / f"{number:05d}.npy"


def _build_shard(source: Path, names: list[str], extra: Mapping[str, Mapping[str, str]], encoder: ImageEncoder,
                 folder: Path, number: int) -> None:
    rows: list[dict[str, Any]] = []
    pictures: list[Image.Image] = []
    skipped: list[Skipped] = []
    for name, read, credit in _sources(source, names):
        try:
            picture = read_image(read)
        except InvalidImageError as error:
            skipped.append(Skipped(name, str(error)))
            continue
        size = picture.size
        picture.thumbnail((1024, 1024))  # more than any encoder takes; keeps a shard's memory small
        pictures.append(picture)
        rows.append({**credit, **extra.get(name, {}), "id": name, "width": size[0], "height": size[1],
                     "image": {"bytes": _thumbnail(picture), "path": f"{name}.webp"}})
    features = encoder.encode(pictures)
    write_json_atomic(folder / "features" / f"{number:05d}.skipped.json", [vars(s) for s in skipped])
    Corpus.write(folder / "corpus" / f"train-{number:05d}.parquet", rows)
    with atomic_path(_features(folder, number)) as temporary:
        np.save(temporary, features)


def _sources(source: Path, names: list[str]) -> Iterator[tuple[str, Path | bytes, dict[str, Any]]]:
    if source.is_dir():
        for name in names:
            stem = Path(name).stem.replace("_", " ").replace("-", " ")
            link = (source / name).resolve().as_uri()
            yield name, source / name, {"caption": stem, "source": source.name, "link": link}
        return
    table = _parquet(source)
    if "image" not in table.column_names:
        raise InvalidInputError(f"'{source}' has no column 'image'; expected encoded images there.")
    ids = [str(v) for v in table["id"].to_pylist()] if "id" in table.column_names else \
        [str(i) for i in range(table.num_rows)]
    place = {name: i for i, name in enumerate(ids)}
    columns = [c for c in TEXT_COLUMNS if c in table.column_names and c != "id"]
    for name in names:
        row = table.slice(place[name], 1).to_pylist()[0]
        image = row["image"]
        data = image.get("bytes") if isinstance(image, dict) else image
        yield name, data if isinstance(data, bytes) else b"", {c: str(row[c] or "") for c in columns}


def _thumbnail(image: Image.Image) -> bytes:
    small = image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=85)
    return buffer.getvalue()


def _finish(folder: Path, source: Path, encoder: str, shards: int, pair: MapperPair | None,
            factory: str) -> IndexReport:
    features = np.concatenate([np.load(_features(folder, n)) for n in range(shards)])
    listed = [Skipped(**entry) for n in range(shards)
              for entry in json.loads((folder / "features" / f"{n:05d}.skipped.json").read_text())]
    write_json_atomic(folder / "skipped.json", [vars(s) for s in listed])
    if not len(features):
        raise InvalidInputError(f"none of the {len(listed)} files in '{source}' can be read as an image; "
                                f"'{folder / 'skipped.json'}' says why for each.")
    if pair is None:
        _borrow_calibrator(folder, encoder)
    collection = Collection.create(folder, name=source.stem, encoder=encoder, features=features, mappers=pair,
                                   factory=factory, card={"what": f"collection of the images in '{source.name}'"})
    return IndexReport(collection, tuple(listed), _notice(folder))


def _borrow_calibrator(folder: Path, encoder: str) -> None:
    """Copy the shipped calibrator that was fitted for this encoder as it is; its card says that it is borrowed."""
    if (folder / "calibrator/card.json").exists():
        return
    for parts in (SHIPPED, *sorted((SHIPPED / "methods").glob("*"))):
        cards = [parts / name / "card.json" for name in ("calibrator", "mappers")]
        if not all(card.exists() for card in cards):
            continue
        fitted, mappers = (read_card(card.parent) for card in cards)
        if fitted.get("encoder") == encoder and mappers.get("kind") == "identity":
            calibrator = Calibrator.load(parts / "calibrator", encoder=encoder)
            shutil.rmtree(folder / "calibrator", ignore_errors=True)
            calibrator.save(folder / "calibrator", card={"note": f"{FITTED_ELSEWHERE}: the pocket collection"})
            return


def _notice(folder: Path) -> str:
    if not (folder / "calibrator/card.json").exists():
        return ("no calibrator fits this encoder: attribute with --temperature, or put a fitted 'calibrator' "
                "folder into the collection.")
    note = str(read_card(folder / "calibrator").get("note", ""))
    return f"the calibrator was {note}; read the shares as relative to each other." if note else ""
