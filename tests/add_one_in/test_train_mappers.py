"""From manifests of tuned models to mappers: views, features, the choice of settings, and the command."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from attribution_core.add_one_in import train_mappers as module
from attribution_core.add_one_in.augmentations import views
from attribution_core.add_one_in.cases import ManifestEntry, read_manifest
from attribution_core.add_one_in.image_store import ImageStore
from attribution_core.add_one_in.train_mappers import encode_pairs, reciprocal_rank, train_mappers
from attribution_core.cli.main import app
from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.mapping.fit import FeaturePairs
from attribution_core.mapping.pair import MapperPair
from tests.support.pairs import D, made_pairs


def picture(seed):
    values = np.random.default_rng(seed).integers(0, 256, size=(4, 4, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((32, 24), Image.Resampling.NEAREST)


@pytest.mark.parametrize("kind", ["mild", "strong"])
def test_views_differ_keep_their_size_and_come_again_with_the_seed(kind):
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    one, two, other = (views(picture(0), kind, 4, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.rand(2), expected), "the caller's random numbers are its own"
    assert all(view.size == (32, 24) and view.mode == "RGB" for view in one)
    assert [v.tobytes() for v in one] == [v.tobytes() for v in two] != [v.tobytes() for v in other]
    assert len({v.tobytes() for v in one}) > 1


def test_mild_views_keep_their_colours_and_strong_ones_do_not():
    colour = (60, 120, 180)
    image = Image.new("RGB", (32, 32), colour)
    mild, strong = (
        [np.abs(np.asarray(v).reshape(-1, 3).mean(0) - colour).max() for v in views(image, kind, 8, 0)]
        for kind in ("mild", "strong")
    )
    assert max(mild) < 1 and max(strong) > 20


def test_no_augmentation_repeats_the_image():
    image = picture(0)
    assert views(image, "none", 2, 0) == [image, image]
    with pytest.raises(ValueError, match="sideways"):
        views(image, "sideways", 1, 0)


class MeanColour:
    """Encodes to the mean colour and a constant."""

    def encode(self, images):
        return np.stack([[*np.asarray(i).reshape(-1, 3).mean(0), 1.0] for i in images]).astype(np.float32)


def write_benchmark(folder, models, made=2):
    entries = []
    for k in range(models):
        for name, seed in (("e", k), *((f"m{i}", k) for i in range(made))):
            picture(seed).save(folder / f"{k}-{name}.png")
        entries.append(
            {
                "exemplar": [f"{k}-e.png"],
                "class_id": str(k),
                "category": "thing",
                "synth": {"gpt": [f"{k}-m0.png"], "media": [f"{k}-m{i}.png" for i in range(1, made)]},
            }
        )
    return entries


def manifest(folder, name, entries):
    (folder / name).write_text(json.dumps(entries))
    return folder / name


def test_features_stand_beside_their_models(tmp_path):
    entries = read_manifest(manifest(tmp_path, "m.json", write_benchmark(tmp_path, 3)))
    seen = []
    pairs = encode_pairs(
        MeanColour(), entries, ImageStore.open(tmp_path), "none", 2, on_image=lambda: seen.append(1)
    )
    assert len(seen) == 9
    assert pairs.real_model.tolist() == [0, 0, 1, 1, 2, 2]
    assert pairs.synth_model.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    expected = [[*np.asarray(picture(k)).reshape(-1, 3).mean(0), 1] for k in range(3)]
    assert pairs.real[::2] == pytest.approx(np.array(expected), abs=1e-3)
    assert pairs.synth[::4] == pytest.approx(np.array(expected), abs=1e-3)


def test_models_without_images_are_named(tmp_path):
    store = ImageStore.open(tmp_path)
    with pytest.raises(InvalidInputError, match="no models"):
        encode_pairs(MeanColour(), [], store)
    with pytest.raises(InvalidInputError, match="no exemplar images"):
        encode_pairs(MeanColour(), [ManifestEntry((), {}, "", "")], store)
    with pytest.raises(CheckpointError, match=r"no image 'none\.png'"):
        encode_pairs(MeanColour(), [ManifestEntry(("none.png",), {"gpt": ("none.png",)}, "", "")], store)


def test_reciprocal_rank_worked_by_hand():
    # Exemplars along three axes; the first query is nearest to its own, the second has its own in second place.
    made = np.array([[3, 2, 1], [2, 1, 0], [0, 0, 1]])
    pairs = FeaturePairs(np.eye(3), np.array([0, 1, 2]), made, np.array([0, 1, 2]))
    assert reciprocal_rank(MapperPair.identity(3), pairs) == pytest.approx((1 + 1 / 2 + 1) / 3)
    # A second exemplar of model 1, which its query equals: first place.
    more = FeaturePairs(
        np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 1, 0]]),
        np.array([0, 1, 2, 1]),
        pairs.synth,
        pairs.synth_model,
    )
    assert reciprocal_rank(MapperPair.identity(3), more) == pytest.approx(1 / 3 * (1 / 2 + 1 + 1))


def test_the_settings_that_do_best_on_validation_are_kept(monkeypatch):
    reached = {0.05: 0.4, 0.1: 0.7}
    monkeypatch.setattr(
        module, "reciprocal_rank", lambda pair, _: reached.get(made.pop(0), 0.2) if made else 0.1
    )
    made = [0.05, 0.1]
    trained = train_mappers(
        made_pairs(), made_pairs(seed=1), "fake", temperatures=(0.05, 0.1), rigidities=(1.0,), epochs=2
    )
    assert trained.best.settings.temperature == 0.1 and trained.best.reciprocal_rank == 0.7
    assert [t.reciprocal_rank for t in trained.trials] == [0.4, 0.7] and trained.untrained == 0.1
    assert trained.card()["settings"]["temperature"] == 0.1


def test_training_helps_on_models_it_never_saw():
    trained = train_mappers(
        made_pairs(150),
        made_pairs(40, seed=7),
        "fake",
        temperatures=(0.1,),
        rigidities=(0.01,),
        epochs=100,
        learning_rate=1e-2,
    )
    assert trained.best.reciprocal_rank > 1.25 * trained.untrained
    assert trained.pair.encoder == "fake" and trained.pair.dim == D


def test_finished_fits_are_found_again(tmp_path):
    epochs = []

    def run():
        epochs.clear()
        return train_mappers(
            made_pairs(),
            made_pairs(seed=1),
            "fake",
            temperatures=(0.05, 0.1),
            rigidities=(1.0,),
            on_epoch=lambda epoch, _: epochs.append(epoch),
            work=tmp_path,
            epochs=3,
        )

    first = run()
    assert epochs == [1, 2, 3] * 2
    again = run()
    assert epochs == []
    assert again.trials == first.trials and np.array_equal(again.pair.real.weight, first.pair.real.weight)


def test_the_command_writes_a_pair_that_loads(tmp_path, monkeypatch):
    monkeypatch.setattr("attribution_core.encoding.encoders.load_encoder", lambda *_: MeanColour())
    entries = write_benchmark(tmp_path, 6)
    command = [
        "train-mappers",
        str(manifest(tmp_path, "train.json", entries[:4])),
        "--validation",
        str(manifest(tmp_path, "valid.json", entries[4:])),
        "--images",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
        "--encoder",
        "rgb-thumbnail",
        "--epochs",
        "2",
        "--kind",
    ]
    done = CliRunner().invoke(app, [*command, "linear"])
    assert done.exit_code == 0, done.output
    pair = MapperPair.load(tmp_path / "out", "rgb-thumbnail")
    card = json.loads((tmp_path / "out/card.json").read_text())
    assert pair.kind == "linear" and card["models"] == 4 and card["augmentation"] == "mild"
    assert len(card["validation"]["trials"]) == 9
    bad = CliRunner().invoke(app, [*command, "forest"])
    assert bad.exit_code == 2 and "expected one of linear" in bad.output
    corrected = CliRunner().invoke(app, [*command, "linear", "--hubness", "0.5"])
    assert corrected.exit_code == 0, corrected.output
    hubness = MapperPair.load(tmp_path / "out", "rgb-thumbnail").hubness
    assert hubness is not None and hubness.weight == 0.5 and hubness.neighbours == len(hubness.queries)
    bad = CliRunner().invoke(app, [*command, "linear", "--hubness", "-1"])
    assert bad.exit_code == 2 and "hubness is -1.0" in bad.output
