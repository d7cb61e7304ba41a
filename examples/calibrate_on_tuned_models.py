# %% [markdown]
# # Calibrate on your own tuned models
#
# A share is worth what it was calibrated on: images whose influence is known, because a model was tuned on one exemplar
# that it had never seen ("add-one-in"). `python -m attribution_core customize` tunes such models; a manifest says which
# image came from which. Here the benchmark that ships stands in for yours.
# `python examples/calibrate_on_tuned_models.py`, or cell by cell.

# %%
import tempfile
from pathlib import Path

from attribution_core import Attributor, Collection
from attribution_core.add_one_in.cases import encode_case, read_manifest
from attribution_core.add_one_in.image_store import ImageStore
from attribution_core.add_one_in.queries import add_one_in
from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.estimates import over_models
from attribution_core.settings import shipped

# %% [markdown]
# ## The manifest
#
# JSON, as the paper's data set has it: for each tuned model its exemplars, and the images that it made by kind of
# prompt. Paths are those of a folder of images, or of Parquet files with an image column.

# %%
POCKET = CollectionLayout(shipped("pocket"))
MANIFEST = POCKET.benchmark / "validation.json"
IMAGES = [POCKET.benchmark, POCKET.corpus]
MODELS = 8  # fit on so many, test on as many others; take all that you have

entries = read_manifest(MANIFEST)
print(f"{len(entries)} tuned models; the first: {entries[0].exemplars[0]}, {entries[0].category}")

# %% [markdown]
# ## Encode, and search among all training images
#
# Each made image is a query; the candidates are all training images of the collection and the exemplars of its own
# model.

# %%
collection = Collection.open(shipped("pocket"))
encoder, images = Attributor(collection).encoder, ImageStore.open(*IMAGES)
fitted_on, tested_on = (
    add_one_in(encode_case(encoder, name, part, images), collection.mappers, collection.index)
    for name, part in (("fit", entries[:MODELS]), ("test", entries[MODELS : 2 * MODELS]))
)
print(
    f"{len(fitted_on.model)} images to fit on, {len(tested_on.model)} to test on, {len(collection.index)} candidates"
)

# %% [markdown]
# ## Fit the temperature, and ask what it is worth
#
# The temperature under which the true exemplars are likeliest. What counts is the other models: by how much less
# surprising their exemplars are (-log influence, in nats) than at a temperature of 1. An interval above 0 says that the
# gain is no accident of the few models.

# %%
calibrator = fitted_on.fit(collection.encoder_name)
before, after = tested_on.nll(calibrator, temperature=1.0), tested_on.nll(calibrator)
gain = over_models(before - after, tested_on.model)
print(f"temperature {calibrator.temperature_:.4f}: {after.mean():.2f} nats, {before.mean():.2f} uncalibrated")
print(f"gain {gain}")

# %% [markdown]
# ## Keep it
#
# Into the folder `calibrator` of your own collection; here into one that is thrown away. The command
# `python -m attribution_core calibrate MANIFEST --collection DIR --images DIR` does all of this at once.

# %%
OUT = Path(tempfile.mkdtemp(prefix="attribution-example-")) / "calibrator"
calibrator.save(OUT, {"data": MANIFEST.name, "models": MODELS, "gain on others": str(gain)})
print("written:", sorted(path.name for path in OUT.iterdir()))
