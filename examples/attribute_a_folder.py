# %% [markdown]
# # Attribute an image to a folder of training images
#
# This example turns a folder of images into a *collection*: encoded once, stored in its own folder, and usable from
# the app, the command line and Python. Run it as a script, `python examples/attribute_a_folder.py`, or cell by cell.

# %%
import csv
import tempfile
from pathlib import Path

from PIL import ImageOps

from attribution_core import Attributor, Corpus
from attribution_core.collection.build import SourceOptions, build_collection
from attribution_core.collection.layout import CollectionLayout
from attribution_core.settings import shipped

WORK = Path(tempfile.mkdtemp(prefix="attribution-example-"))

# %% [markdown]
# ## The training images
#
# Any folder will do: set `FOLDER` to yours. Here, eighty of the bundled drawings are written to one, with a table of
# their creators. The table is optional; its first column names the files.

# %%
FOLDER, CREDITS = WORK / "drawings", WORK / "credits.csv"

drawings = Corpus.open(CollectionLayout(shipped("pocket")).corpus)
FOLDER.mkdir()
with CREDITS.open("w", newline="", encoding="utf-8") as table:
    rows = csv.writer(table)
    rows.writerow(["file", "caption", "creator", "licence", "link"])
    for position in range(0, 800, 10):
        credit = drawings.credit(position)
        drawings.image(position).save(FOLDER / f"{position}.png")
        rows.writerow([f"{position}.png", credit.caption, credit.creator, credit.licence, credit.link])

# %% [markdown]
# ## The collection
#
# `pocket-clip` is bundled with the repository; `efficientnet-lite0` suits photographs. You can stop at any time: the
# same call resumes. The temperature, which turns similarities into shares, is borrowed from the pocket collection, as
# the notice says; `calibrate_on_tuned_models.py` shows how to fit one.

# %%
report = build_collection(
    FOLDER, WORK / "collection", encoder="pocket-clip", source=SourceOptions(metadata=CREDITS)
)
print(f"{len(report.collection.index)} images, {len(report.skipped)} skipped; {report.notice}")

# %% [markdown]
# ## One query
#
# The image to attribute may be a file or a PIL image. Here it is one of the drawings, mirrored and posterized, so that
# the correct answer is known.

# %%
known = 250
query = ImageOps.posterize(ImageOps.mirror(drawings.image(known)), 3)

result = Attributor(report.collection).attribute(query, top=5)
for credit, share, low, high in zip(
    result.credits, result.influence, result.influence_low, result.influence_high, strict=True
):
    print(f"{share:6.1%} ({low:.1%} to {high:.1%})  {credit.caption}  by {credit.creator} ({credit.licence})")
print(f"{result.rest:6.1%}  all {result.n_training - len(result)} others together")
print("One image stands out." if result.stands_out else "No training image stands out.")

# %% [markdown]
# Open the collection in the app with `python app.py --collection` and its folder.

# %%
print(f"python app.py --collection {report.collection.path}")
print("found:", result.credits[0].id == f"{known}.png")
