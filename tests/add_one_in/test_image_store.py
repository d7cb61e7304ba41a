"""Images by the paths of a manifest: rows of Parquet files and files in folders."""

import io

import numpy as np
import pytest
from PIL import Image

from attribution_core.add_one_in.image_store import ImageStore, write_images
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import CheckpointError, InvalidImageError


def png(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


def colour_of(image):
    return tuple(np.asarray(image)[0, 0])


def test_rows_of_parquet_files_and_files_are_found_by_path(tmp_path):
    (tmp_path / "made").mkdir()
    write_images(tmp_path / "made/images-a.parquet", [("x/0.webp", png("red")), ("x/1.webp", png("blue"))])
    write_images(tmp_path / "made/images-b.parquet", [("y/0.webp", png("lime"))])
    rows = [{"id": "set/heart", "image": {"bytes": png("white"), "path": ""}}]
    Corpus.write(tmp_path / "corpus/exemplars-core.parquet", rows)
    (tmp_path / "corpus/loose").mkdir()
    (tmp_path / "corpus/loose/one.png").write_bytes(png("black"))
    store = ImageStore.open(tmp_path / "made", tmp_path / "corpus")
    found = [colour_of(store[p]) for p in ("x/0.webp", "x/1.webp", "y/0.webp", "set/heart", "loose/one.png")]
    assert found == [(255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 255, 255), (0, 0, 0)]
    assert store["x/0.webp"].mode == "RGB"


def test_datasets_opens_what_is_written_as_images(tmp_path):
    import datasets

    write_images(tmp_path / "images.parquet", [("x/0.webp", png("red"))])
    row = datasets.load_dataset(
        "parquet",
        data_files=str(tmp_path / "images.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )[0]
    assert row["path"] == "x/0.webp" and colour_of(row["image"].convert("RGB")) == (255, 0, 0)


def test_what_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="is not a folder"):
        ImageStore.open(tmp_path / "nowhere")
    write_images(tmp_path / "images.parquet", [("bad.webp", b"no image")])
    store = ImageStore.open(tmp_path)
    with pytest.raises(CheckpointError, match="no image 'other.webp'"):
        store["other.webp"]
    with pytest.raises(InvalidImageError):
        store["bad.webp"]
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(CheckpointError, match=r"broken\.parquet' cannot be read"):
        ImageStore.open(tmp_path)
