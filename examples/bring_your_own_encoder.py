# %% [markdown]
# # Bring your own encoder
#
# Anything with a name, a length and `encode` can stand in for the encoders of the table: a network of yours, another
# library, or plain arithmetic as here. `python examples/bring_your_own_encoder.py`, or cell by cell.

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
# It is given RGB images of any size and gives back one row of numbers for each, float32. They need not be of length 1.
# The name is written into what is made with it: change it whenever the numbers change.


# %%
class Colours:
    """How often each of 8 x 8 x 8 colours occurs, in the upper and in the lower half; the root tames large areas."""

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
# A PyTorch network needs a few lines more: resize and normalise in `encode`, then
# `with torch.inference_mode(): return network(pixels).float().cpu().numpy()`.
#
# ## A collection made with it

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
# No temperature was fitted for this encoder, so the scale of the shares is a guess until
# `calibrate_on_tuned_models.py` has fitted one: similarities and their order need none. The encoder is handed over
# whenever the collection is used; another one is refused.

# %%
query = ImageOps.mirror(drawings.image(250))
result = Attributor(report.collection, encoder=encoder).attribute(query, top=3, temperature=0.02)
for credit, similarity, share in zip(result.credits, result.similarity, result.influence, strict=True):
    print(f"{credit.caption:12s} similarity {similarity:.3f}, share {share:.1%} at a temperature of 0.02")

# %% [markdown]
# A temperature that you trust, from anywhere, is kept in the collection by a calibrator.

# %%
Calibrator.from_temperature(0.02, encoder.name).save(report.collection.layout.calibrator())
print("found:", result.credits[0].id == "250.png")
