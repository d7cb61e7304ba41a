"""Collections from released files: equal to the released code's own arithmetic, in bounded memory, and opened."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from attribution_core.attribution.attributor import Attributor
from attribution_core.cli.main import app
from attribution_core.collection import from_release
from attribution_core.collection.collection import Collection
from attribution_core.collection.from_release import find_release, row_of
from attribution_core.common.progress import Progress
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import (
    AttributionError,
    CheckpointError,
    CollectionMismatchError,
    InvalidImageError,
    InvalidInputError,
    NotFittedError,
    UnknownNameError,
)
from attribution_core.mapping.heads import MapperKind
from attribution_core.mapping.pair import MapperPair
from attribution_core.release.texts import open_texts
from attribution_core.retrieval.index import TrainingIndex
from tests.support.fake_release import (
    DIM,
    fake_release,
    mapper_state,
    mlp,
    save_calibrator,
    save_features,
    save_mappers,
    shapes,
)
from tests.support.fakes import ENCODER, shape_image

N = 60
FEATURES = shapes(N)


@pytest.fixture
def feats(tmp_path: Path) -> Path:
    return save_features(tmp_path / "feats/x/laion_subset.pth", FEATURES)


def released_shares(kind: str, query: Any, inv_tau: float, bias: float) -> np.ndarray:
    """What the released demo computes, in double precision: map, normalise, softmax with bias."""

    def mapped(rows: torch.Tensor, seed: int) -> torch.Tensor:
        state = {
            k: v.double() if v.is_floating_point() else v for k, v in mapper_state(kind, DIM, seed).items()
        }
        if kind == "linear":
            rows = torch.nn.functional.linear(rows, state["weight"], state["bias"])
        elif kind == "channel":
            rows = rows * state["weights"]
        else:
            network = mlp(DIM).double()
            network.load_state_dict(state)
            rows = network(rows)
        return torch.nn.functional.normalize(rows, dim=-1)

    with torch.no_grad():
        score = (
            mapped(torch.from_numpy(FEATURES).double(), 0)
            @ mapped(torch.from_numpy(query).double()[None], 1)[0]
        )
    scaled = score * inv_tau
    kept = torch.relu(torch.exp(scaled - scaled.max()) + bias * 0.001)
    return (kept / kept.sum()).numpy()


@pytest.mark.parametrize("kind", ["linear", "channel", "mlp"])
@pytest.mark.parametrize("bias", [0.0, -20.0, 3.0])
def test_shares_are_those_of_the_released_code(tmp_path: Path, feats: Path, kind: str, bias: float) -> None:
    made = Collection.from_release(
        tmp_path / "out",
        features=feats,
        encoder=ENCODER,
        mappers=save_mappers(tmp_path / "m.pth", kind),
        calibrator=save_calibrator(tmp_path / "c.pth", 40.0, bias),
        factory="Flat",
    )
    assert made.mappers.kind is MapperKind(kind) and made.calibrator.bias_ == pytest.approx(bias)
    image = shape_image(500)
    result = Attributor(made).attribute(image, top=N)
    query = Attributor(made).encoder.encode([image])[0]
    assert result.influence == pytest.approx(released_shares(kind, query, 40.0, bias)[result.ids], abs=2e-5)


def test_half_precision_features_are_read_and_mapped_in_full(tmp_path: Path) -> None:
    half = FEATURES.astype(np.float16)
    made = Collection.from_release(
        tmp_path / "out", encoder=ENCODER, factory="Flat", features=save_features(tmp_path / "half.pth", half)
    )
    whole = TrainingIndex.build(
        MapperPair.identity(DIM, ENCODER).map_training(half.astype(np.float32)), "Flat"
    )
    rows = made.mappers.map_query(FEATURES[:3])
    assert np.array_equal(made.index.search(rows, 5).similarity, whole.search(rows, 5).similarity)


@pytest.mark.parametrize("factory", ["Flat", "SQfp16"])
@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5), seed=st.integers(0, 9))
def test_blocks_make_the_index_that_all_rows_make(factory: str, sizes: list[int], seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(sum(sizes), 6)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    ends = np.cumsum(sizes)
    blocks = (rows[stop - size : stop] for size, stop in zip(sizes, ends, strict=True))
    one, other = (
        TrainingIndex.build_from(blocks, factory, count=len(rows)),
        TrainingIndex.build(rows, factory),
    )
    left, right = one.search(rows[:2], len(rows)), other.search(rows[:2], len(rows))
    assert np.array_equal(left.ids, right.ids) and np.array_equal(left.similarity, right.similarity)


def test_blocks_of_other_rows_or_numbers_are_errors() -> None:
    unit = np.eye(4, dtype=np.float32)
    with pytest.raises(InvalidInputError, match="4 rows, expected 5"):
        TrainingIndex.build_from(iter([unit]), count=5)
    with pytest.raises(CollectionMismatchError, match="3 columns, expected 4"):
        TrainingIndex.build_from(iter([unit, unit[:, :3]]), count=8)
    with pytest.raises(InvalidInputError, match="length 2"):
        TrainingIndex.build_from(iter([unit * 2]), count=4)


def test_one_block_is_in_memory_at_a_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, feats: Path
) -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = [0]
    blocks = from_release.ReleasedTrainingFeatures.blocks

    def counted(self: from_release.ReleasedTrainingFeatures) -> Any:
        for block in blocks(self, 10):
            alive.append(weakref.ref(block))
            yield block
            del block
            most[0] = max(most[0], sum(ref() is not None for ref in alive))

    monkeypatch.setattr(from_release.ReleasedTrainingFeatures, "blocks", counted)
    Collection.from_release(tmp_path / "out", features=feats, encoder=ENCODER)
    assert len(alive) == 6 and most[0] <= 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts memory as Linux does")
def test_memory_stays_below_that_of_the_features(tmp_path: Path) -> None:
    """100,000 x 768 in float32 are 307 MB, their index of 16 bits is 154 MB."""
    rows = np.random.default_rng(0).normal(size=(100_000, 768)).astype(np.float32)
    save_features(tmp_path / "big.pth", rows)
    del rows
    code = (
        "import sys, torch, faiss, pyarrow.parquet\n"
        "from attribution_core.collection.from_release import write_release\n"
        "def own():\n    lines = open('/proc/self/status').read().splitlines()\n"
        "    return next(int(l.split()[1]) for l in lines if l.startswith('RssAnon'))\n"
        "before, most = own(), [0]\n"
        "def show(*_):\n    most[0] = max(most[0], own())\n"
        f"write_release({str(tmp_path / 'out')!r}, features={str(tmp_path / 'big.pth')!r}, encoder={ENCODER!r}, "
        "on_progress=show)\nprint((most[0] - before) / 1e3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 154 + 180, "the index, some blocks of 50 MB, and no copy of all features"


def test_without_pictures_it_opens_and_says_what_is_known(tmp_path: Path, feats: Path) -> None:
    captions = tmp_path / "laion_captions.txt"
    captions.write_bytes(
        "".join(f"shape {i}, à la carte\u2028 \thttps://example.org/{i}.jpg\n" for i in range(N)).encode()
    )
    made = Collection.from_release(
        tmp_path / "out",
        features=feats,
        encoder=ENCODER,
        captions=captions,
        calibrator=save_calibrator(tmp_path / "c.pth"),
        name="Mine",
    )
    assert (made.name, len(made.index), made.mappers.kind) == ("Mine", N, MapperKind.IDENTITY)
    result = Attributor(made).attribute(shape_image(7), top=5)
    credit = result.credits[0]
    assert (credit.id, credit.caption) == ("dataset/laion_subset/00000007.png", "shape 7, à la carte")
    assert credit.link == "https://example.org/7.jpg" and credit.source == from_release.SOURCE
    assert not made.corpus.has_image(7)
    with pytest.raises(InvalidImageError, match="does not hold the picture"):
        made.corpus.image(7)
    assert (
        "BY-NC-SA" in made.card["licence"] and str(tmp_path) not in (tmp_path / "out/card.json").read_text()
    )
    datasets = pytest.importorskip("datasets")
    row = next(
        iter(
            datasets.load_dataset(
                "parquet", data_files=str(tmp_path / "out/corpus/*.parquet"), split="train", streaming=True
            )
        )
    )
    assert row["image"] is None and row["caption"].startswith("shape 0")


@pytest.mark.parametrize(
    ("name", "inside"), [("{:08d}.jpg", ""), ("{:08d}.png", ""), ("{:08d}.jpg", "dataset/laion_subset/")]
)
def test_a_folder_of_pictures_is_linked_to(tmp_path: Path, feats: Path, name: str, inside: str) -> None:
    (tmp_path / "jpeg" / inside).mkdir(parents=True)
    for i in range(N - 1):
        shape_image(i).save(tmp_path / "jpeg" / inside / name.format(i))
    made = Collection.from_release(
        tmp_path / "out", features=feats, encoder=ENCODER, images=tmp_path / "jpeg"
    )
    assert [made.corpus.has_image(i) for i in (0, N - 2, N - 1)] == [True, True, False]
    assert np.abs(np.asarray(made.corpus.image(3), int) - np.asarray(shape_image(3), int)).mean() < 8
    with pytest.raises(InvalidInputError, match="holds none of the first"):
        Collection.from_release(
            tmp_path / "other", features=feats, encoder=ENCODER, images=tmp_path / "feats"
        )


def test_a_corpus_reads_no_file_outside_of_its_images(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n secret")
    (tmp_path / "corpus/images").mkdir(parents=True)
    (tmp_path / "corpus/images/notes.txt").write_text("no picture")
    names = ["../../secret.png", str(tmp_path / "secret.png"), "", "notes.txt"]
    Corpus.write(
        tmp_path / "corpus/train-0.parquet", [{"image": {"bytes": None, "path": name}} for name in names]
    )
    corpus = Corpus.open(tmp_path / "corpus")
    assert [corpus.has_image(i) for i in range(4)] == [False, False, False, True]
    for i in range(4):
        with pytest.raises(InvalidImageError):
            corpus.image_bytes(i)


def test_an_interrupted_call_begins_anew_and_a_done_one_is_kept(
    tmp_path: Path, feats: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_release, "SHARD", 25)

    def stopped(step: Progress) -> None:
        if step.stage == "indexing":
            raise KeyboardInterrupt

    given: dict[str, Any] = {"features": feats, "encoder": ENCODER}
    with pytest.raises(KeyboardInterrupt):
        Collection.from_release(tmp_path / "out", **given, on_progress=stopped)
    with pytest.raises(CheckpointError, match=r"no card\.json"):
        Collection.open(tmp_path / "out")
    monkeypatch.setattr(from_release, "SHARD", 50)
    made = Collection.from_release(tmp_path / "out", **given)
    assert [p.name for p in sorted((made.path / "corpus").iterdir())] == [
        "card.json",
        "train-00000.parquet",
        "train-00001.parquet",
    ]
    assert made.corpus.column("id") == [f"dataset/laion_subset/{i:08d}.png" for i in range(N)]
    with pytest.raises(CheckpointError, match="already holds a collection"):
        Collection.from_release(tmp_path / "out", **given)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mine.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="not started by 'from-release'"):
        Collection.from_release(tmp_path / "other", **given)


def evil() -> Any:
    class Evil:
        def __reduce__(self) -> Any:
            return print, ("code ran",)

    return Evil()


def test_a_call_that_was_killed_while_it_wrote_its_plan_goes_on(tmp_path: Path, feats: Path) -> None:
    half = tmp_path / "out/.from_release.0123456789ab.part.json"
    half.parent.mkdir()
    half.write_text("{")
    made = Collection.from_release(tmp_path / "out", features=feats, encoder=ENCODER)
    assert len(made.index) == N and not half.exists()
    (tmp_path / "out/corpus/train-00000.parquet").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"train-00000\.parquet' differs"):
        Collection.open(tmp_path / "out")


def test_files_of_other_formats_or_encoders_are_errors(tmp_path: Path, feats: Path, capsys: Any) -> None:
    def make(**given: Any) -> Collection:
        return Collection.from_release(tmp_path / "out", **{"features": feats, "encoder": ENCODER, **given})

    with pytest.raises(CheckpointError, match="does not exist"):
        make(features=tmp_path / "none.pth")
    with pytest.raises(
        CollectionMismatchError, match="features of 768 values, encoder 'clip-vit-b32' gives 512"
    ):
        make(encoder="clip")
    with pytest.raises(CollectionMismatchError, match="takes 8"):
        make(mappers=save_mappers(tmp_path / "m.pth", dim=8))
    with pytest.raises(CheckpointError, match="not a released calibrator"):
        make(calibrator=save_mappers(tmp_path / "m.pth"))
    with pytest.raises(CheckpointError, match="not a released mapper"):
        make(mappers=save_calibrator(tmp_path / "c.pth"))
    torch.save({"feats": torch.zeros(0, 768), "paths": []}, tmp_path / "empty.pth")
    with pytest.raises(CheckpointError, match="contains no features"):
        make(features=tmp_path / "empty.pth")
    broken = FEATURES.copy()
    broken[17, 3] = np.nan
    with pytest.raises(CheckpointError, match="images 0 to 59.*NaN"):
        make(features=save_features(tmp_path / "nan.pth", broken))
    with pytest.raises(UnknownNameError, match="SQfp16"):
        make(factory="SQfp61")
    for name, write in (
        ("zip.pth", lambda f: torch.save({"feats": evil(), "paths": []}, f)),
        ("old.pth", lambda f: f.write(pickle.dumps({"feats": evil(), "paths": []}, 2))),
    ):
        with (tmp_path / name).open("wb") as file:
            write(file)
        with pytest.raises(CheckpointError, match="cannot be read as plain tensors"):
            make(features=tmp_path / name)
    assert "code ran" not in capsys.readouterr().out
    with pytest.raises(NotFittedError, match="give a temperature"):
        Attributor(make()).attribute(shape_image(0))


# Captions

NAMES = tuple(f"dataset/laion_subset/{i:08d}.png" for i in range(4))


def table(path: Path, columns: dict[str, list[Any]]) -> Path:
    if path.suffix == ".csv":
        rows = [list(columns), *zip(*columns.values(), strict=True)]
        path.write_text("\n".join(",".join(f'"{v}"' for v in row) for row in rows) + "\n", encoding="utf-8")
    else:
        pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("form", ["{}.png", "dataset/laion_subset/{}.png", "{}"])
def test_tables_are_joined_by_path(tmp_path: Path, suffix: str, form: str) -> None:
    told = table(
        tmp_path / f"t.{suffix}",
        {
            "key": [form.format(f"{i:08d}") for i in (2, 0, 9)],
            "TEXT": ["two, 2", "zero", "nine"],
            "URL": ["https://example.org/2", "https://example.org/0", ""],
            "LICENSE": ["?", "CC0-1.0", ""],
            "width": ["1", "2", "3"],
        },
    )
    assert open_texts(told, NAMES).rows(0, 4) == [
        {"caption": "zero", "link": "https://example.org/0", "licence": "CC0-1.0"},
        {},
        {"caption": "two, 2", "link": "https://example.org/2"},
        {},
    ]
    assert open_texts(told, NAMES).rows(2, 3) == [{"caption": "two, 2", "link": "https://example.org/2"}]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n\r\t\ufeff")),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
)
def test_lines_come_back_whatever_they_hold(
    tmp_path_factory: pytest.TempPathFactory, captions: list[str], last: bool
) -> None:
    path = tmp_path_factory.mktemp("lines") / "c.txt"
    captions[-1] += "."
    path.write_bytes("\n".join(captions).encode() + b"\n" * last)
    texts = open_texts(path, tuple(map(str, range(len(captions)))))
    half = len(captions) // 2
    rows = texts.rows(0, half) + texts.rows(half, len(captions))
    assert [r["caption"] for r in rows] == [c.strip() for c in captions]
    assert texts.rows(0, 1) == rows[:1]


def test_texts_that_do_not_belong_are_errors(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("a\nb\n")
    with pytest.raises(CollectionMismatchError, match="2 lines for 4 images"):
        open_texts(tmp_path / "c.txt", NAMES)
    with pytest.raises(CheckpointError, match="cannot be read"):
        open_texts(tmp_path / "none.txt", NAMES)
    with pytest.raises(CollectionMismatchError, match="names none of the images"):
        open_texts(table(tmp_path / "a.csv", {"file": ["x.png"], "caption": ["x"]}), NAMES)
    with pytest.raises(CheckpointError, match="expected one of file, path, key, id"):
        open_texts(table(tmp_path / "b.csv", {"name": ["x.png"], "caption": ["x"]}), NAMES)
    for name in ("d.parquet", "d.csv"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(CheckpointError, match=r"cannot be read|has the columns"):
            open_texts(tmp_path / name, NAMES)


# The command


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.mark.parametrize("encoder", ["clip", "clip-vit-b32"])
def test_the_command_finds_what_was_downloaded(tmp_path: Path, encoder: str) -> None:
    folder = fake_release(tmp_path / "released")
    result = run("from-release", encoder, "--release", folder, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert f"{tmp_path / 'out'}: 40 images" in result.stdout and result.stderr == ""
    made = Collection.open(tmp_path / "out")
    assert (made.encoder_name, made.mappers.kind, made.calibrator.bias_) == (
        "clip-vit-b32",
        MapperKind.LINEAR,
        -0.5,
    )
    assert (
        made.calibrator.temperature_ == pytest.approx(1 / 40) and made.corpus.credit(3).caption == "caption 3"
    )
    assert made.index.factory == "SQ8x2"


def test_the_command_takes_files_by_name(tmp_path: Path, feats: Path) -> None:
    result = run("from-release", ENCODER, "--features", feats, "--out", tmp_path / "out", "--name", "Mine")
    assert result.exit_code == 0, result.stderr
    assert "--captions" in result.stderr and "--temperature" in result.stderr
    assert Collection.open(tmp_path / "out").name == "Mine"


def test_the_commands_mistakes_are_one_line(tmp_path: Path) -> None:
    folder = fake_release(tmp_path / "released")
    (folder / "weights/mapper/clip_tuned.pth").unlink()
    for arguments, words in (
        (["clip", "--release", folder], "download paper-weights"),
        (["dino", "--release", folder], "download paper-laion-1m"),
        (["clop"], "did you mean 'clip'"),
        (["efficientnet-lite0"], "unknown encoder of the release"),
        (["clip", "--mappers", "m.pth"], "require --features"),
    ):
        result = run("from-release", *arguments, "--out", tmp_path / "out")
        assert (
            result.exit_code == 2 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
        )
        assert words in result.stderr and not (tmp_path / "out").exists()


def test_names_of_the_release_are_rows(tmp_path: Path) -> None:
    assert [row_of(short) for short in ("clip", "dino", "moco", "vit", "sscd")] == [
        "clip-vit-b32",
        "dino-vitb16",
        "moco-v3-vitb16",
        "vit-b16-384",
        "sscd",
    ]
    with pytest.raises(AttributionError):
        find_release("clip", tmp_path)
