"""The encoders that are trained here: their views, losses, recipes that resume, and what they are measured by."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from attribution_core.common.arrays import normalized
from attribution_core.common.cards import read_card, verify_files, write_card
from attribution_core.common.files import sha256_file
from attribution_core.corpus.corpus import Corpus
from attribution_core.encoding.encoders import ENCODERS, load_encoder
from pocket.encoders import clip, sscd, tower
from pocket.encoders import report as encoder_report
from tests.support.fakes import shape_image

ROWS = [
    {
        "id": str(i),
        "caption": f"thing {i // 2}, noto style",
        "short_caption": f"thing {i // 2}",
        "concept_label": "" if i == 0 else f"thing {i // 2}",
    }
    for i in range(12)
]


@pytest.fixture
def small_corpus(tmp_path, monkeypatch):
    """Twelve drawings in place of the training set, and everything written into a temporary folder."""
    rows = []
    for i, row in enumerate(ROWS):
        path = tmp_path / f"{i}.png"
        shape_image(i, 96).save(path)
        rows.append({**row, "image": {"bytes": path.read_bytes(), "path": ""}})
    Corpus.write(tmp_path / "corpus/train-core.parquet", rows)
    (tmp_path / "corpus/card.json").write_text(
        json.dumps({"files": {"train-core.parquet": sha256_file(tmp_path / "corpus/train-core.parquet")}})
    )
    for module in (tower, sscd, clip):
        for name, value in (
            ("CORPUS", tmp_path / "corpus"),
            ("OUT", tmp_path / "out"),
            ("WORK", tmp_path / "work"),
        ):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    return tmp_path


def torch_loss(features: torch.Tensor, temperature: float, entropy: float) -> float:
    """The copy loss, view by view."""
    rows = torch.nn.functional.normalize(features, dim=2)
    views = [(i, v) for i in range(len(rows)) for v in range(2)]
    contrast, spread = [], []
    for i, v in views:
        others = {(k, w): float(rows[i, v] @ rows[k, w]) for k, w in views if (k, w) != (i, v)}
        total = math.log(sum(math.exp(s / temperature) for s in others.values()))
        contrast.append(total - others[i, 1 - v] / temperature)
        nearest = max(s for (k, _), s in others.items() if k != i)
        spread.append(math.log(math.sqrt(2 - 2 * nearest)))
    return float(np.mean(contrast) - entropy * np.mean(spread))


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(2, 6),
    temperature=st.floats(0.05, 1),
    entropy=st.floats(0, 30),
)
def test_the_copy_loss_equals_its_sum_view_by_view(seed, count, temperature, entropy):
    features = torch.randn(count, 2, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    loss = sscd.copy_loss(features, temperature, entropy)
    assert float(loss) == pytest.approx(torch_loss(features, temperature, entropy), rel=1e-6, abs=1e-6)


def test_the_copy_loss_falls_where_views_agree_and_images_differ():
    axes = torch.eye(4)
    apart = torch.stack([axes, axes], dim=1)
    mixed = torch.stack([axes, axes.roll(1, 0)], dim=1)
    assert sscd.copy_loss(apart, 0.1, 0) < sscd.copy_loss(mixed, 0.1, 0)
    near = torch.nn.functional.normalize(axes + 1.0, dim=1)
    assert sscd.copy_loss(apart, 0.1, 5) < sscd.copy_loss(torch.stack([near, near], dim=1), 0.1, 5)


def test_the_image_text_loss_by_hand():
    images, texts = torch.tensor([[1.0, 0], [0, 2]]), torch.tensor([[3.0, 0], [0, 1]])
    expected = math.log(math.exp(2) + 1) - 2
    alone = clip.image_text_loss(images, texts, torch.eye(2, dtype=torch.bool), torch.tensor(2.0))
    assert float(alone) == pytest.approx(expected, abs=1e-6)
    shared = clip.image_text_loss(images, texts, torch.ones(2, 2, dtype=torch.bool), torch.tensor(2.0))
    assert float(shared) == pytest.approx(math.log(math.exp(2) + 1) - 1, abs=1e-6)


@pytest.mark.parametrize("make", [lambda others: sscd.copy_view(others), lambda others: clip.mild_view()])
def test_views_are_random_follow_the_seed_and_have_the_encoders_size(make):
    image = shape_image(3, 96)
    view = make([shape_image(i, 96) for i in range(3)])
    torch.manual_seed(1)
    first = [view(image) for _ in range(4)]
    torch.manual_seed(1)
    again = [view(image) for _ in range(4)]
    assert {v.size for v in first} == {(64, 64)}
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])


def test_an_image_may_be_described_by_each_of_its_captions_once(small_corpus):
    captions = clip.Captions(Corpus.open(small_corpus / "corpus"))
    assert captions.of_image[0] == ["thing 0", "thing 0, noto style"]
    vectors, table, many = captions.vectors
    assert vectors.shape == (12, 384) and table.shape == (12, 2) and many.tolist() == [2] * 12
    assert torch.equal(table[0], table[1]) and not torch.equal(table[1], table[2])


@pytest.mark.parametrize(("module", "n_views"), [(sscd, 2), (clip, 1)])
def test_a_recipe_trains_resumes_and_writes_an_encoder_that_loads(module, n_views, small_corpus, monkeypatch):
    monkeypatch.setattr(module, "SCHEDULE", tower.Schedule(batch=4, samples=8 * n_views, peak=1e-3))
    module.main(samples=8 * n_views)
    first = load_encoder(module.NAME, "cpu", small_corpus / "out")
    card = read_card(small_corpus / "out" / module.NAME)
    assert card["training"]["views"] == 8 * n_views and card["dim"] == ENCODERS[module.NAME].dim
    write_card(
        small_corpus / "out" / module.NAME, {**card, "files": list(card["files"]), "figures": {"found": 1}}
    )
    module.main(samples=8 * n_views)
    assert read_card(small_corpus / "out" / module.NAME)["figures"] == {"found": 1}, (
        "the same weights, so it stands"
    )
    module.main(samples=12 * n_views)
    assert "figures" not in read_card(small_corpus / "out" / module.NAME)
    assert read_card(small_corpus / "out" / module.NAME)["training"]["steps"] == 3
    verify_files(small_corpus / "out" / module.NAME)
    second = load_encoder(module.NAME, "cpu", small_corpus / "out")
    image = [shape_image(1, 96)]
    assert first.encode(image).shape == (1, 256)
    assert not np.array_equal(first.encode(image), second.encode(image))
    if module is clip:
        assert clip.text_features(["thing 1"]).shape == (1, 256)


@pytest.mark.parametrize("name", [sscd.NAME, clip.NAME])
def test_what_ships_is_small_has_its_figures_and_tells_images_apart(name):
    card = read_card(tower.OUT / name)
    verify_files(tower.OUT / name)
    assert sum(p.stat().st_size for p in (tower.OUT / name).iterdir()) < 20e6
    assert card["figures"] == json.loads(encoder_report.REPORT.read_text())["encoders"][name]
    assert card["training"]["corpus_sha256"] == read_card(tower.CORPUS)["files"]["train-core.parquet"]
    rows = normalized(load_encoder(name, "cpu").encode([shape_image(i, 128) for i in range(6)]))
    assert np.abs(rows @ rows.T - np.eye(6)).max() < 0.999


def test_the_copy_encoder_tells_copies_better_than_the_one_that_was_there():
    encoders = json.loads(encoder_report.REPORT.read_text())["encoders"]
    told = {name: figures["copies"]["average_precision"] for name, figures in encoders.items()}
    assert told[sscd.NAME] == max(told.values()) > told["efficientnet-lite0"]


def test_scores_of_copies_by_hand():
    similarity = np.array([0.9, 0.8, 0.7, 0.7], np.float32)
    told = encoder_report.tell_copies(similarity, np.array([0, 5, 2, 1]), np.array([0, -1, 2, 3]))
    # In order: right, no copy, wrong (ties count against us), right; of three copies.
    assert told.average_precision == pytest.approx((1 + 2 / 4) / 3, abs=1e-4)
    assert told.recall == pytest.approx(1 / 3, abs=1e-4) and told.threshold == pytest.approx(0.9)
    assert told.curve[-1] == pytest.approx([2 / 3, 0.5], abs=1e-4)


@pytest.mark.parametrize("name", encoder_report.CHANGES)
def test_changes_change_what_they_say(name):
    image, other = shape_image(1, 128), shape_image(2, 128)
    changed = encoder_report.CHANGES[name](image, other)
    assert changed.mode == "RGB"
    same = changed.size == image.size and ImageChops.difference(changed, image).getbbox() is None
    assert same == (name == "none")


def test_copies_of_a_perfect_eye_are_all_found():
    class Eye:
        """Sees nothing but how red the middle is: enough for what is not recoloured."""

        def encode(self, images: list[Image.Image]) -> np.ndarray:
            angle = np.array([np.asarray(i.resize((1, 1)))[0, 0, 0] / 255 for i in images])
            return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)

    images = [Image.new("RGB", (128, 128), (20 * i, 0, 0)) for i in range(12)]
    told = encoder_report.copies(Eye(), np.zeros((1, 2), np.float32), images)
    assert told.by_change["none"] == told.by_change["mirrored"] == told.by_change["cropped to a half"] == 1.0
    assert told.by_change["pasted into another image"] < 1
