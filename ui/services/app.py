"""What the tabs ask of the library: open a collection, make images step by step, attribute, read uploads."""

from __future__ import annotations

import hashlib
import logging
import math
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from attribution_core.add_one_in.cases import ManifestEntry
from attribution_core.analyses.memorization.verdict import Memorization
from attribution_core.analyses.patches import PatchAttributor
from attribution_core.analyses.word_search import WordSearch, method_with_text
from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.origin import MadeBy, made_by
from attribution_core.attribution.result import Attribution
from attribution_core.collection.collection import Collection
from attribution_core.collection.examples import stored_examples
from attribution_core.common.files import atomic_path
from attribution_core.common.images import Limits, kind_of, png_bytes, read_image, read_recipe
from attribution_core.common.json_text import read_json
from attribution_core.common.text import listing
from attribution_core.corpus.placeholders import tile
from attribution_core.corpus.vocabulary import Vocabulary
from attribution_core.credentials.c2pa import Signer, read_trust
from attribution_core.credentials.read import NOTHING_SAID, Credentials, read_credentials
from attribution_core.encoding.encoders import SHIPPED, load_encoder
from attribution_core.errors import AttributionError, CheckpointError, InvalidImageError, InvalidInputError
from attribution_core.evidence.benchmark import Evidence
from attribution_core.evidence.counterfactual import CounterfactualEvidence
from attribution_core.evidence.memorization import MemorizationEvidence
from attribution_core.generation.generator import GeneratedImage, Generator, StepPreview
from attribution_core.generation.noise_signal import NoiseSignal
from attribution_core.generation.recipe import Recipe
from attribution_core.generation.table import Defaults
from attribution_core.reports.estimate import estimate_of
from attribution_core.reports.thumbnails import thumbnail_uri
from attribution_core.reports.wording.doubt import doubt_words
from attribution_core.reports.wording.reliability import reliability_of
from attribution_core.settings import Settings
from ui.services import gpu
from ui.services.background import in_background
from ui.services.folder import private_folder
from ui.services.uploads import LARGEST, Uploads

LOG = logging.getLogger("attribution_explorer")
MOST_UPLOADED = 5
"""Times the largest upload that is kept of a visit, or else a batch; of more, the oldest files go."""
MAX_PROMPT = 500
"""Characters; the longest text encoders in use read about 77 words."""
OTHERS = (
    "It was drawn by a generator that is not this collection's own: the images listed influenced it only if that "
    "generator was trained on them."
)


NOT_SIGNED = "The picture could not be signed, so the file to download has no content credentials."
_GLIMPSES, _GLIMPSED = (0.5, 0.75), 8  # parts of the steps; training images
UNSAID = "No training caption says {words}, so this generator has not learned what that looks like."
"""Of a prompt for the collection's own generator, which saw these captions and no others."""


@dataclass(frozen=True)
class Query:
    """The image that is attributed.

    title: its prompt or file name. recipe: what made it, where that is known. notices: what its generator left aside.
    noise_signal: of its making, where that was here. blacked_out: by its generator's safety checker. said_so: whether
    the visitor says that a model trained on the collection made it. credentials: what an uploaded file says of itself.
    made_here: whether this app drew it, which alone it signs. prompt_writer: for the metadata of what it drew.
    """

    image: Image.Image
    title: str
    recipe: Recipe | None = None
    notices: tuple[str, ...] = ()
    noise_signal: NoiseSignal | None = None
    blacked_out: bool = False
    said_so: bool = False
    credentials: Credentials = NOTHING_SAID
    made_here: bool = False
    prompt_writer: str = ""

    @property
    def file_name(self) -> str:
        """A name for downloads: letters, digits and hyphens of the title, and the seed."""
        words = re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")[:60] or "image"
        return words if self.recipe is None else f"{words}-seed-{self.recipe.seed}"

    @cached_property
    def key(self) -> str:
        """Tells images apart: a checksum of the pixels."""
        return hashlib.sha256(
            f"{self.image.mode} {self.image.size}".encode() + self.image.tobytes()
        ).hexdigest()

    @cached_property
    def png(self) -> bytes:
        """The image as a PNG with recipe and metadata; encoded once, for all parts of the page that show it."""
        made = self.recipe
        if made is None:
            return png_bytes(self.image, xmp=self.credentials.kept_xmp)
        xmp = self.credentials.kept_xmp or made.metadata(self.prompt_writer).xmp()
        return png_bytes(self.image, made.to_dict(), xmp)


def checked_prompt(prompt: str | None) -> str:
    """A prompt without superfluous spaces. Raises `InvalidInputError` where it is empty or too long."""
    words = " ".join((prompt or "").split())
    if not words:
        raise InvalidInputError("the prompt is empty; say what to draw, or choose an example.")
    if len(words) > MAX_PROMPT:
        raise InvalidInputError(f"the prompt has {len(words)} characters, at most {MAX_PROMPT} are read.")
    return words


class Services:
    """The opened collection and its generator, shared by all visitors."""

    def __init__(self, settings: Settings, collection: Collection, generator: Generator | None) -> None:
        """generator: None for a collection without one; images are then uploaded.

        others: more collections, which the tab Compare opens beside this one.
        """
        self.settings, self.collection, self.generator = settings, collection, generator
        self.trust = read_trust(settings.c2pa_trust)
        self.signer = Signer.of(settings.c2pa_certificate, settings.c2pa_key)
        self.others: tuple[Services, ...] = ()
        self._attributors = {collection.method: self._attributor(collection)}
        self._held_stream = gpu.on_gpu(self._stream, gpu.GENERATION_S)
        self._opening = threading.Lock()
        self.image_folder = Path(tempfile.mkdtemp(prefix="pictures-", dir=private_folder()))
        """Training images that were shown, as files; they are gone when the app ends."""

    @classmethod
    def open(cls, settings: Settings) -> Services:
        """Open the collection that the settings name. Raises `AttributionError`."""
        collection = Collection.open(settings.collection)
        path = settings.generator or collection.generator_path
        services = cls(settings, collection, None if path is None else Generator.open(path, settings.device))
        services.others = tuple(
            cls(settings, Collection.open(other), None) for other in settings.compare_with
        )
        # Damaged evidence is said at once, not by a page that does not open.
        _ = services.evidence, services.memorization_evidence, services.counterfactual
        return services

    def attributor(self, method: str | None = None) -> Attributor:
        """What attributes by a method of the collection, opened once. Raises `UnknownNameError`."""
        name = method or self.collection.method
        if name in self._attributors:  # without the lock, which a fork may find held
            return self._attributors[name]
        with self._opening:
            if name not in self._attributors:
                opened = Collection.open(self.collection.path, name)
                self._attributors[name] = self._attributor(opened)
            return self._attributors[name]

    def _attributor(self, collection: Collection) -> Attributor:
        """Loads its encoder at its first query; on a ZeroGPU Space at once, see `ui.services.gpu`."""
        device = self.settings.device
        held = None if gpu.SPACES is None else gpu.GpuEncoder(load_encoder(collection.encoder_name, device))
        return Attributor(collection, device, held)

    @cached_property
    def uploads(self) -> Uploads:
        """What visitors of this app uploaded."""
        folder = Path(tempfile.mkdtemp(prefix="uploads-", dir=private_folder()))
        most = max(MOST_UPLOADED * self.settings.max_upload_mb, self.settings.batch_mb)
        return Uploads(folder, most * 1_000_000)

    @property
    def limits(self) -> Limits:
        """What one image of a visitor may ask for."""
        of = self.settings
        return Limits(of.max_upload_mb * 1_000_000, int(of.max_megapixels * 1e6), seconds=of.decode_seconds)

    @property
    def defaults(self) -> Defaults:
        """Steps and guidance that the generator suggests."""
        return Defaults() if self.generator is None else self.generator.defaults

    @cached_property
    def examples(self) -> tuple[Query, ...]:
        """The collection's stored examples, in the order of their names; files without a recipe are left out."""
        stored = stored_examples(self.collection.layout)
        return tuple(Query(read_image(path), recipe.prompt, recipe) for path, recipe in stored)

    @cached_property
    def first(self) -> tuple[Query, Attribution] | None:
        """The example that the page opens on, attributed; None without examples or a temperature."""
        if not self.examples or not self.collection.calibrator.is_fitted:
            return None
        # Nobody is there yet whose turn at a ZeroGPU Space's GPU it could be.
        attributor = self.attributor() if gpu.SPACES is None else Attributor(self.collection, "cpu")
        example = self.examples[0]
        return example, attributor.attribute(
            example.image, top=self.settings.top, made_by=self.made_by(example)
        )

    @cached_property
    def evidence(self) -> Evidence | None:
        """What is known of how well the collection's methods do. Raises `CheckpointError` where it is damaged."""
        return Evidence.open(self.collection.path)

    @cached_property
    def counterfactual(self) -> CounterfactualEvidence | None:
        """What is known of leaving training images out. Raises `CheckpointError` where it is damaged."""
        return CounterfactualEvidence.open(self.collection.path)

    @cached_property
    def patches(self) -> PatchAttributor:
        """What compares patches, opened at the first question. Raises `AttributionError`."""
        return PatchAttributor(self.collection.corpus)

    @cached_property
    def memorization_evidence(self) -> MemorizationEvidence | None:
        """What the generator was measured to memorize. Raises `CheckpointError` where it is damaged."""
        return MemorizationEvidence.open(self.collection.path)

    @cached_property
    def copies(self) -> Memorization:
        """What tells copies of training images, for all tabs; opened at the first question."""
        # On a ZeroGPU Space no lease of the GPU is worth the few images that are checked at a time.
        return Memorization(self.collection, "cpu" if gpu.SPACES else self.settings.device)

    @cached_property
    def text_method(self) -> str | None:
        """The method whose encoder has a text side, to search by words with; None where there is none."""
        return method_with_text(self.collection)

    @cached_property
    def word_search(self) -> WordSearch | None:
        """What finds training images by the meaning of words; None where no encoder has a text side that is there."""
        method = self.text_method
        try:
            return None if method is None else WordSearch(self.attributor(method).collection)
        except AttributionError:  # captions are searched all the same
            LOG.exception("there is no search by meaning")
            return None

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The styles and things that the open generator knows by name; empty for another one than the collection's."""
        own = self.generator is not None and not self.settings.generator
        return Vocabulary.of(self.collection.corpus) if own else Vocabulary()

    @property
    def usual_style(self) -> str:
        """The style that is chosen as the page opens, see `Vocabulary.usual_style`."""
        return self.vocabulary.usual_style(self.examples[0].title if self.examples else "")

    def glimpse(self, preview: StepPreview) -> Attribution | None:
        """What an unfinished image comes near to; None but for two moments of its making.

        On a ZeroGPU Space never: there the GPU is lent for the making alone.
        """
        moments = {math.ceil(preview.total * part) for part in _GLIMPSES}
        if gpu.SPACES is not None or self.settings.generator or preview.step not in moments:
            return None
        if not self.collection.calibrator.is_fitted:
            return None
        return self.attributor().attribute(preview.image, top=_GLIMPSED, made_by=MadeBy.THIS_GENERATOR)

    def reliability_words(self, result: Attribution) -> str:
        """How far the strongest share can be relied on; "" where that was not measured for its method."""
        return reliability_of(result, self.evidence)

    def doubt_words(self, query: Query, result: Attribution) -> str:
        """That an image may not show what its prompt asks for; "" without a sign of it, and where no sign was measured.

        Of words that no caption says, a notice of the image's own tells.
        """
        own = result.made_by is MadeBy.THIS_GENERATOR and result.method == self.collection.method
        if not own or query.recipe is None or not self.vocabulary.styles:
            return ""
        prompt = query.recipe.prompt
        return "" if self.collection.corpus.unsaid(prompt) else doubt_words(result, prompt)

    def recites(self, recipe: Recipe | None, signal: NoiseSignal | None) -> bool:
        """Whether the noise signal warns that an image, finished or not, may be close to a training image."""
        evidence = self.memorization_evidence
        if evidence is None or recipe is None or signal is None:
            return False
        return evidence.recites(recipe, signal)

    def recites_so_far(self, preview: StepPreview, guidance: float) -> bool:
        """The same of an image that the open generator is drawing."""
        if self.memorization_evidence is None or preview.noise_signal is None or self.generator is None:
            return False
        recipe = Recipe("", steps=preview.total, guidance=guidance, generator_sha256=self.generator.sha256)
        return self.recites(recipe, preview.noise_signal)

    def thumbnail(self, position: int) -> str:
        """A training image small, as a data URI to write into the page."""
        return thumbnail_uri(self.collection.corpus, position)

    @cached_property
    def encoder_report(self) -> dict[str, Any]:
        """What the encoders that ship were measured by; empty where it is not there."""
        path = SHIPPED / "report.json"
        report: dict[str, Any] = read_json(path) if path.exists() else {}
        return report

    def attribute_known(self, path: str, model: ManifestEntry, method: str, top: int) -> Attribution:
        """Attribute a benchmark image as if its model's exemplars had been trained on. Raises `AttributionError`."""
        if self.evidence is None:
            raise CheckpointError(
                "this collection has no evidence, so there is no image whose exemplars are known."
            )
        return self.attributor(method).attribute(
            self.evidence.images[path], top, added=self.evidence.exemplars(model)
        )

    def warm_up(self) -> None:
        """Load encoder and generator in the background and make missing indexes, so that no visitor waits for them.

        On a ZeroGPU Space all encoders, and at once: its forks have what is there when the page is launched.
        """

        def work() -> None:
            try:
                _ = self.first or self.attributor().encoder
                if self.generator is not None:
                    self.generator.load()
                    _ = self.generator.sha256
                for one in (self, *self.others):
                    for method in one.collection.methods:
                        if gpu.SPACES is not None or not one.collection.index_folder(method).exists():
                            one.attributor(method)
                _ = self.word_search
            except Exception:  # the page opens all the same, and says what is wrong when it is asked for
                LOG.exception("warming up failed")

        if gpu.SPACES is not None:
            work()
        else:
            threading.Thread(target=work, daemon=True, name="warm-up").start()

    def file_of(self, query: Query, result: Attribution | None = None) -> tuple[bytes, str]:
        """Return the PNG to save and, where it could not be signed, a sentence on that; "" otherwise.

        What this app drew is signed if a certificate is set up, with the estimate in `result`.
        """
        if self.signer is None or not query.made_here:
            return query.png, ""
        generator = "" if query.recipe is None else query.recipe.generator
        estimate = None if result is None else estimate_of(result)
        try:
            return self.signer.sign(
                query.png, "png", title=query.title, generator=generator, estimate=estimate
            ), ""
        except AttributionError:
            LOG.exception("a picture could not be signed")
            return query.png, NOT_SIGNED

    def attribute(self, query: Query, method: str | None = None) -> Attribution:
        """List the training images that most likely influenced the query. Raises `AttributionError`."""
        attributor = self.attributor(method)
        return attributor.attribute(query.image, top=self.settings.top, made_by=self.made_by(query))

    def read_upload(self, path: str | None) -> Query:
        """Read an uploaded file, with its recipe and what it says of itself. Raises `InvalidImageError`."""
        if not path:
            raise InvalidImageError("no image was given; drop a file, paste an image or choose a file.")
        image = read_image(path, self.limits, LARGEST)
        try:
            values = read_recipe(path)
            recipe = None if values is None else Recipe.from_dict(values)
            if recipe is not None and len(recipe.prompt) > MAX_PROMPT:
                recipe = None
        except AttributionError:  # a damaged note about its making does not make the image unreadable
            recipe = None
        title = Path(path).stem if recipe is None else recipe.prompt
        credentials = self.uploads.credentials(Path(path)) or read_credentials(path, self.trust, self.limits)
        return Query(image, title, recipe, credentials=credentials)

    def made_by(self, query: Query) -> MadeBy:
        """Whether a model that was trained on the collection made an image, as far as is known."""
        return made_by(query.recipe, self.collection, said_so=query.said_so)

    def generate(self, prompt: str, seed: int, steps: int, guidance: float) -> Iterator[StepPreview | Query]:
        """Yield previews while an image is made, and the image at the end; closing it stops the work.

        Previews that nobody fetched in time are skipped. Raises `InvalidInputError` for a value out of range,
        `CheckpointError` where the collection has no generator.
        """
        if self.generator is None:
            raise CheckpointError("this collection has no generator; upload an image to attribute it.")
        stream: Iterator[StepPreview | Query] = self._held_stream(
            Recipe(checked_prompt(prompt), seed, steps, guidance)
        )
        return stream

    def _stream(self, recipe: Recipe) -> Iterator[StepPreview | Query]:
        def work(on_step: Callable[[StepPreview], None]) -> GeneratedImage:
            generator = self.generator
            assert generator is not None  # `generate` looked
            return generator.generate(recipe.prompt, recipe.seed, recipe.steps, recipe.guidance, on_step)

        with closing(in_background(work, "generation")) as events:
            for event in events:
                if isinstance(event, GeneratedImage):
                    notices = (
                        event.notices if event.blacked_out else (*event.notices, *self._of_training(recipe))
                    )
                    yield Query(
                        event.image,
                        recipe.prompt,
                        event.recipe,
                        notices,
                        event.noise_signal,
                        event.blacked_out,
                        made_here=True,
                        prompt_writer=self.settings.prompt_writer,
                    )
                else:
                    yield event

    def _of_training(self, recipe: Recipe) -> Iterator[str]:
        """What to know of an image, as far as its generator learned from the collection's images."""
        if self.settings.generator:
            yield OTHERS
        elif unsaid := self.collection.corpus.unsaid(recipe.prompt):
            yield UNSAID.format(words=listing([f"“{word}”" for word in unsaid], "or"))

    def training_image(self, position: int) -> Path:
        """A training image as a file, as it is stored in the corpus; a tile with its caption where it is not."""
        corpus = self.collection.corpus
        data = corpus.image_bytes(position) if corpus.has_image(position) else tile(corpus.credit(position))
        path = self.image_folder / f"{position}.{kind_of(data) or 'jpeg'}"
        if not path.exists() or path.stat().st_size != len(data):  # cut off by a full disk
            with atomic_path(path) as temporary:
                temporary.write_bytes(data)
        return path
