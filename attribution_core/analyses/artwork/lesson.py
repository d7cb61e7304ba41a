"""What if the model had learned from an artist's images? Tune it on them, draw with and without, attribute both.

The idea of Wang et al. (ICCV 2023), on images of one's own: what a tuned model draws is influenced by them, because
nothing else has changed. So this shows how far attribution moves where the answer is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from attribution_core.analyses.artwork.standing import (
    LIST_LENGTH,
    LISTED,
    Candidates,
    Standing,
    would_be_credited,
)
from attribution_core.analyses.artwork.survey import checked_prompts
from attribution_core.attribution.attributor import Attributor
from attribution_core.common.arrays import whole
from attribution_core.common.progress import OnProgress, ProgressReporter
from attribution_core.errors import InvalidInputError
from attribution_core.generation.generator import Generator
from attribution_core.generation.tuning.customization import Customization, customize_many, customized
from attribution_core.generation.tuning.loop import OBJECT_CAPTIONS, STYLE_CAPTIONS, Subject, TuningSettings
from attribution_core.generation.tuning.pipeline_edits import TOKEN

MARK = "V*"
"""Stands for the artist's work in a prompt."""
LEARNING = TuningSettings(batch_size=4, scattered=True)
"""As the pocket benchmark tunes: scaled-down views at random places, so that the layout is not learned."""
STEPS = (25, 500)
MOST_SUBJECT = 40  # characters
_STYLE_WORDS = "in the style of art"  # what remains of a style's words without its token


@dataclass(frozen=True)
class Lesson:
    """What to learn from the images.

    subject: what they show, in a word or two ("cat", "drawing"). style: whether they share a style, not a thing.
    """

    subject: str = "drawing"
    style: bool = False

    def __post_init__(self) -> None:
        """Normalise the subject. Raises `InvalidInputError` if it is empty or too long."""
        words = " ".join(self.subject.split())
        if not words:
            raise InvalidInputError("say what the images show, in a word or two: cat, flower, drawing.")
        if len(words) > MOST_SUBJECT:
            raise InvalidInputError(
                f"what the images show has {len(words)} characters; a word or two are enough."
            )
        object.__setattr__(self, "subject", words)

    def examples(self, styles: Sequence[str] = ()) -> tuple[str, ...]:
        """Example prompts. styles: of the training images, most frequent first."""
        if self.style:
            return tuple(f"{thing} in the style of {MARK} art" for thing in ("a heart", "a house", "a cat"))
        return (MARK, *(f"{MARK}, {style} style" for style in styles[:2]), f"red {MARK}")

    def with_token(self, prompt: str) -> str:
        """The prompt for the tuned generator. Raises `InvalidInputError` if it lacks `MARK`."""
        if MARK.lower() not in prompt.lower():
            raise InvalidInputError(
                f"the prompt “{prompt}” does not hold {MARK}, which stands for your work; write "
                f"{self.examples()[-1]}, say."
            )
        return _replaced(prompt, TOKEN if self.style else f"{TOKEN} {self.subject}")

    def without_token(self, prompt: str) -> str:
        """The prompt for the untuned generator, with the subject, or nothing, in place of `MARK`."""
        plain = _replaced(prompt, "" if self.style else self.subject)
        return _replaced(plain, "", _STYLE_WORDS).strip(" ,") if self.style else plain


def _replaced(prompt: str, words: str, what: str = MARK) -> str:
    place = prompt.lower().find(what.lower())
    while place >= 0:
        prompt = prompt[:place] + words + prompt[place + len(what) :]
        place = prompt.lower().find(what.lower(), place + len(words))
    return " ".join(prompt.split())


def learn(
    generator: Generator,
    candidates: Candidates,
    lesson: Lesson,
    settings: TuningSettings = LEARNING,
    *,
    seed: int = 0,
    on_step: OnProgress | None = None,
) -> Customization:
    """Tune on an artist's images. The generator itself stays as it is, and no other image is generated with the tuning.

    settings: of `customize_many`. on_step: progress; what it raises ends the tuning and is passed on.
    """
    images = candidates.artwork.images
    subject = Subject(images, lesson.subject, STYLE_CAPTIONS if lesson.style else OBJECT_CAPTIONS, seed=seed)
    progress = ProgressReporter("learning from your images", settings.steps, on_step)
    progress.start()
    return customize_many(generator, [subject], settings, lambda _: progress.add())[0]


@dataclass(frozen=True, eq=False)
class Pair:
    """Images of one prompt and seed from the untuned and the tuned generator, and the artist's standing in both."""

    prompt: str
    without: Image.Image = field(repr=False)
    learned: Image.Image = field(repr=False)
    before: Standing
    after: Standing

    @property
    def risen(self) -> bool:
        """Whether the artist's share rises."""
        return self.after.share > self.before.share

    @property
    def can_be_seen(self) -> bool:
        """Whether it rises so far that the artist's work is among the first `LISTED`."""
        return self.risen and self.after.best.rank <= LISTED


@dataclass(frozen=True, eq=False)
class WithAndWithout:
    """How attribution moves once a model has learned from an artist; see `with_and_without`."""

    artist: str
    lesson: Lesson
    seed: int
    pairs: tuple[Pair, ...]

    @property
    def risen(self) -> int:
        """Number of prompts for which the artist's share rises."""
        return sum(p.risen for p in self.pairs)

    @property
    def can_be_seen(self) -> int:
        """Number of prompts for which what was learned can be seen; see `Pair.can_be_seen`."""
        return sum(p.can_be_seen for p in self.pairs)


def with_and_without(
    attributor: Attributor,
    generator: Generator,
    candidates: Candidates,
    customization: Customization,
    lesson: Lesson,
    prompts: Sequence[str],
    *,
    seed: int = 1,
    steps: int | None = None,
    guidance: float | None = None,
    top: int = LIST_LENGTH,
    on_step: OnProgress | None = None,
) -> WithAndWithout:
    """Generate each prompt untuned and tuned, from the same noise, and attribute both.

    customization: of `learn`, with that lesson. prompts: each with `MARK`. The generator is as before afterwards;
    other threads' images wait meanwhile. on_step: progress; what it raises ends the work and is passed on.
    Raises `InvalidInputError` for bad prompts or values.
    """
    unique = checked_prompts(prompts)
    tuned, plain = [lesson.with_token(p) for p in unique], [lesson.without_token(p) for p in unique]
    usual = generator.defaults.steps if steps is None else steps
    pairs = []
    progress = ProgressReporter("drawing with and without", 2 * len(unique) * usual, on_step)
    progress.start()

    def draw(prompt: str) -> Image.Image:
        return generator.generate(prompt, seed, steps, guidance, lambda _: progress.add()).image

    without = [draw(p) for p in plain]
    with customized(generator, customization):
        learned = [draw(p) for p in tuned]
    for prompt, one, other in zip(unique, without, learned, strict=True):
        before, after = (would_be_credited(attributor, image, candidates, top) for image in (one, other))
        pairs.append(Pair(prompt, one, other, before, after))
    return WithAndWithout(candidates.artwork.artist, lesson, seed, tuple(pairs))


def checked_steps(steps: int) -> int:
    """The number of tuning steps, checked against `STEPS`. Raises `InvalidInputError`."""
    return whole("learning steps", steps, *STEPS)
