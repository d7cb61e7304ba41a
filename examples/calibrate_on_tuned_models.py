# %% [markdown]
# # Calibrate on your own tuned models
#
# Shares are calibrated on images whose influence is known, because a model was tuned on one exemplar that it had never
# seen ("add-one-in"). `python -m attribution_core customize` tunes such models; a manifest lists which images came
# from which exemplars. This example uses the bundled benchmark in place of yours.
# Run `python examples/calibrate_on_tuned_models.py`, or cell by cell.

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
# A JSON file in the format of the paper's data set: the exemplars of each tuned model, and the images that it generated
# by kind of prompt. Paths refer to a folder of images, or to Parquet files with an image column.

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
# Each generated image is a query; its candidates are all training images of the collection and the exemplars of its
# own model.

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
# ## Fit the temperature and test it
#
# The fit maximises the likelihood of the true exemplars. The test on other models shows how much lower -log influence
# of their exemplars (in nats) is than at a temperature of 1. An interval above 0 means that the gain is not due to
# the small number of models.

# %%
calibrator = fitted_on.fit(collection.encoder_name)
before, after = tested_on.nll(calibrator, temperature=1.0), tested_on.nll(calibrator)
gain = over_models(before - after, tested_on.model)
print(f"temperature {calibrator.temperature_:.4f}: {after.mean():.2f} nats, {before.mean():.2f} uncalibrated")
print(f"gain {gain}")

# %% [markdown]
# ## Save it
#
# For your own collection, save to its folder `calibrator`; here it goes to a temporary one. The command
# `python -m attribution_core calibrate MANIFEST --collection DIR --images DIR` does all of this at once.

# %%
OUT = Path(tempfile.mkdtemp(prefix="attribution-example-")) / "calibrator"
calibrator.save(OUT, {"data": MANIFEST.name, "models": MODELS, "gain on others": str(gain)})
print("written:", sorted(path.name for path in OUT.iterdir()))
