"""What cannot be read, written or shown is one sentence; what strangers wrote does no harm."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from attribution_core.add_one_in.image_store import ImageStore
from attribution_core.attribution.attributor import Attributor
from attribution_core.cli.main import app
from attribution_core.collection.build import SourceOptions, build_collection
from attribution_core.collection.collection import Collection
from attribution_core.common.files import atomic_path
from attribution_core.common.text import csv_text, one_line
from attribution_core.common.text_files import read_lines
from attribution_core.errors import (
    CheckpointError,
    CollectionMismatchError,
    InvalidInputError,
    OutputError,
)
from attribution_core.generation.recipe import Recipe
from attribution_core.mapping.pair import MapperPair
from attribution_core.release.features import ReleasedTrainingFeatures
from attribution_core.release.texts import open_texts
from tests.support.fakes import shape_image, webp

ROOT = Path(__file__).resolve().parents[2]
ENCODER = "rgb-thumbnail"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def collection(tmp_path: Path, *captions: str) -> Path:
    (tmp_path / "p").mkdir()
    rows = []
    for k, caption in enumerate(captions):
        shape_image(k).save(tmp_path / f"p/{k}.png")
        rows.append({"file": f"{k}.png", "caption": caption, "creator": caption})
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    build_collection(
        tmp_path / "p", tmp_path / "c", encoder=ENCODER, source=SourceOptions(metadata=tmp_path / "m.jsonl")
    )
    return tmp_path / "c"


# --- writing


@pytest.mark.parametrize(
    "arguments",
    [
        ("index", "{p}", "--out", "{p}/0.png", "--encoder", ENCODER),
        ("index", "{p}", "--out", "{p}/0.png/c", "--encoder", ENCODER),
        ("report", "{p}/0.png", "--out", "/proc/x.html"),
        ("generate", "red apple", "--steps", "1", "--out", "{p}"),
        ("customize", "{p}/0.png", "--category", "cat", "--steps", "1", "--out", "{p}/0.png/x"),
    ],
)
def test_what_cannot_be_written_is_one_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "p").mkdir()
    shape_image(0).save(tmp_path / "p/0.png")
    result = run(*(a.format(p=tmp_path / "p") for a in arguments))
    assert result.exit_code == 2, result.output
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: '") and (str(tmp_path) in last or "/proc/x.html" in last)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("IoError: No space left on device")]
)
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(OutputError, match=r"a.bin' cannot be written \(No space left on device\)"):
        with atomic_path(tmp_path / "a.bin") as temporary:
            temporary.write_bytes(b"half")
            raise error
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="a defect"), atomic_path(tmp_path / "a.bin"):
        raise RuntimeError("a defect")


# --- lists and prompts


def test_lists_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_bytes(b"\xef\xbb\xbf0.png\r\n\r\n 1.png \r\n")
    assert read_lines(tmp_path / "ids.txt") == ["0.png", "1.png"]
    made = collection(tmp_path, "a", "b", "c")
    removed = run("remove", made, "--file", tmp_path / "ids.txt")
    assert "2 removed, 1 images left" in removed.stdout, removed.output


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("red apple".encode("utf-16"), "the file is UTF-16; save it as UTF-8"),
        (b"caf\xe9", "not UTF-8 at byte 3"),
    ],
)
def test_lists_in_another_encoding_say_what_to_do(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "p.txt").write_bytes(data)
    with pytest.raises(InvalidInputError, match=words):
        read_lines(tmp_path / "p.txt", "the prompts")


def test_a_prompt_of_bytes_that_are_no_text_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="is not valid text"):
        Recipe(b"caf\xe9".decode("utf-8", "surrogateescape"))


# --- what strangers wrote


@given(st.text())
def test_a_line_for_a_terminal_is_one_and_steers_nothing(text: str) -> None:
    shown = one_line(text)
    assert len(shown.splitlines()) <= 1
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)


@given(st.text(st.characters(exclude_characters="\x00")), st.floats(allow_nan=False, allow_infinity=False))
def test_no_cell_of_a_csv_is_a_formula(text: str, number: float) -> None:
    told = csv_text(["text", "number"], [{"text": text, "number": number}])
    _, (cell, value) = csv.reader(io.StringIO(told, newline=""))
    assert cell.lstrip(" ")[:1] not in ("=", "+", "-", "@", "\t") or cell.lstrip(" ")[1:2].isdigit()
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    assert cell in (lines, f"'{lines}")
    assert float(value) == number


def test_captions_of_strangers_do_no_harm(tmp_path: Path) -> None:
    made = collection(tmp_path, '=HYPERLINK("http://x.example","see")', "two\nlines\x1b[31mred\x07\u202e")
    found = run("attribute", tmp_path / "p/1.png", "--collection", made, "--temperature", 0.5, "--top", 2)
    assert found.exit_code == 0 and len(found.stdout.splitlines()) <= 7
    assert not set("\x1b\x07\u202e") & set(found.stdout)
    told = Attributor(Collection.open(made)).attribute(shape_image(0), top=2, temperature=0.5).to_csv()
    assert any(cell.startswith("'=HYPERLINK") for row in csv.reader(io.StringIO(told)) for cell in row)


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_stream_that_lacks_most_characters_is_written_all_the_same(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    made = collection(tmp_path, "\u732b \U0001f600")
    command = [
        sys.executable,
        "-m",
        "attribution_core",
        "attribute",
        str(tmp_path / "p/0.png"),
        "--collection",
    ]
    done = subprocess.run(
        [*command, str(made), "--temperature", "0.1", *more],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
    )
    assert done.returncode == 0, done.stderr
    if more:
        assert json.loads(done.stdout.decode("cp1252"))["top"][0]["caption"] == "\u732b \U0001f600"


# --- files of other people


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.requires_grad_(True),
        torch.nn.Parameter,
        lambda t: t.to_sparse(),
        lambda t: t.half(),
        lambda t: t.double().T.contiguous().T,
    ],
)
def test_features_are_read_however_they_were_saved(tmp_path: Path, change: object) -> None:
    rows = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    torch.save({"feats": change(rows.clone()), "paths": list("abcd")}, tmp_path / "f.pth")  # type: ignore[operator]
    opened = ReleasedTrainingFeatures.open(tmp_path / "f.pth")
    assert [block.tolist() for block in opened.blocks()] == [rows.tolist()]


@pytest.mark.parametrize("stored", [torch.zeros(4, 6), [1, 2], {"feats": [[1.0]], "paths": ["a"]}, {}])
def test_what_is_no_features_file_is_one_sentence(tmp_path: Path, stored: object) -> None:
    torch.save(stored, tmp_path / "f.pth")
    with pytest.raises(CheckpointError, match="is not a file of released training features"):
        ReleasedTrainingFeatures.open(tmp_path / "f.pth")


def test_a_mapper_of_another_encoder_is_refused(tmp_path: Path) -> None:
    head = {"weight": torch.eye(512), "bias": torch.zeros(512, requires_grad=True)}
    torch.save({"real_mapper": head, "synth_mapper": head}, tmp_path / "m.pth")
    assert MapperPair.from_release(tmp_path / "m.pth", "clip-vit-b32").dim == 512
    assert MapperPair.from_release(tmp_path / "m.pth", "one of my own").dim == 512
    with pytest.raises(CollectionMismatchError, match="takes 512 values, encoder 'dino-vitb16' gives 768"):
        MapperPair.from_release(tmp_path / "m.pth", "dino-vitb16")


@pytest.mark.parametrize("name", ["c.jsonl", "c.parquet", "c.json", "c.tsv"])
def test_captions_of_a_release_come_in_any_table(tmp_path: Path, name: str) -> None:
    rows = [
        {"path": "laion/0.png", "caption": ["a cat", "a kitten"]},
        {"path": "laion/1.png", "caption": ["a dog"]},
    ]
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    elif name.endswith("tsv"):
        (tmp_path / name).write_text("path\tcaption\nlaion/0.png\ta cat; a kitten\nlaion/1.png\ta dog\n")
    else:
        (tmp_path / name).write_text(
            json.dumps(rows) if name.endswith("json") else "\n".join(map(json.dumps, rows))
        )
    texts = open_texts(tmp_path / name, ("laion/0.png", "laion/1.png"))
    assert [row["caption"] for row in texts.rows(0, 2)] == ["a cat; a kitten", "a dog"]


def test_captions_of_a_release_go_to_one_image_each(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("file,caption\n0.png,a cat\n")
    with pytest.raises(CollectionMismatchError, match="one row '0.png' for two images"):
        open_texts(tmp_path / "c.csv", ("a/0.png", "b/0.png"))
    (tmp_path / "c.csv").write_text("file,caption\na/0.png,a cat\na/0.png,a dog\n")
    with pytest.raises(CheckpointError, match="two rows for 'a/0.png'"):
        open_texts(tmp_path / "c.csv", ("a/0.png", "b/0.png"))
    (tmp_path / "c.csv").write_text("file,caption\na/0.png,a cat, asleep\n")
    with pytest.raises(CheckpointError, match="line 2: 3 cells"):
        open_texts(tmp_path / "c.csv", ("a/0.png", "b/0.png"))


def test_a_store_reads_images_in_rows_of_any_kind(tmp_path: Path) -> None:
    shape_image(3).save(tmp_path / "far.png")
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {
        "raw": pa.array([webp(shape_image(3))]),
        "path": pa.array([{"bytes": None, "path": str(tmp_path / "far.png")}], kind),
        "both": pa.array([{"bytes": webp(shape_image(3)), "path": "x"}], kind),
        "none": pa.array([{"bytes": None, "path": None}], kind),
    }
    for name, column in columns.items():
        pq.write_table(pa.table({"path": [name], "image": column}), tmp_path / f"{name}.parquet")
    (tmp_path / "._raw.parquet").write_bytes(b"litter")
    store = ImageStore.open(tmp_path)
    for name in ("raw", "path", "both"):
        assert store[name].size == shape_image(3).size
    with pytest.raises(CheckpointError, match="there is no image 'none'"):
        _ = store["none"]
