# %% [markdown]
# # Bring your own encoder
#
# Anything with `name`, `dim` and `encode` can replace the built-in encoders: your own network, another library, or
# plain arithmetic as here. Run `python examples/bring_your_own_encoder.py`, or cell by cell.

# %%
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from attribution_core import Attributor, Calibrator, Corpus
from attribution_core.collection.build import build_collection
from attribution_core.collection.layout import CollectionLayout
from attribution_core.settings import shipped

WORK = Path(tempfile.mkdtemp(prefix="attribution-example-"))

# %% [markdown]
# ## The encoder
#
# `encode` takes RGB images of any size and returns one float32 row per image, which need not be a unit vector.
# The name is saved with everything built from the features: change it whenever the features change.


# %%
class Colours:
    """Square roots of the counts of 8 x 8 x 8 colours, in the upper and the lower half of an image."""

    name = "colours-8"
    dim = 2 * 8**3

    def encode(self, images: Sequence[Image.Image], batch_size: int | None = None) -> np.ndarray:
        return np.stack([self._row(image) for image in images]).astype(np.float32)

    def _row(self, image: Image.Image) -> np.ndarray:
        pixels = np.asarray(image.convert("RGB").resize((64, 64)), dtype=np.int64) // 32
        colour = pixels @ np.array([64, 8, 1])
        return np.sqrt(
            np.concatenate([np.bincount(half.ravel(), minlength=512) for half in np.split(colour, 2)])
        )


encoder = Colours()

# %% [markdown]
# A PyTorch network needs a few more lines: resize and normalise in `encode`, then
# `with torch.inference_mode(): return network(pixels).float().cpu().numpy()`.
#
# ## Build a collection with it

# %%
FOLDER = WORK / "drawings"
drawings = Corpus.open(CollectionLayout(shipped("pocket")).corpus)
FOLDER.mkdir()
for position in range(0, 800, 10):
    drawings.image(position).save(FOLDER / f"{position}.png")

report = build_collection(FOLDER, WORK / "collection", loaded=encoder)
print(f"{len(report.collection.index)} images; note: {report.notice}")

# %% [markdown]
# ## Attribute with it
#
# No temperature has been fitted for this encoder, so the scale of the shares is a guess until you fit one as in
# `calibrate_on_tuned_models.py`; similarities and ranks need none. Pass the encoder whenever you use the collection;
# any other encoder raises an error.

# %%
query = ImageOps.mirror(drawings.image(250))
result = Attributor(report.collection, encoder=encoder).attribute(query, top=3, temperature=0.02)
for credit, similarity, share in zip(result.credits, result.similarity, result.influence, strict=True):
    print(f"{credit.caption:12s} similarity {similarity:.3f}, share {share:.1%} at a temperature of 0.02")

# %% [markdown]
# A calibrator stores a temperature from any source in the collection.

# %%
Calibrator.from_temperature(0.02, encoder.name).save(report.collection.layout.calibrator())
print("found:", result.credits[0].id == "250.png")
