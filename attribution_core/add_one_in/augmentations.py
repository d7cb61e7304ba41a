"""Random views of images for training mappers: mild ones, and strong ones as in DINO."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from attribution_core.common.arrays import whole
from attribution_core.common.optional import import_optional

if TYPE_CHECKING:
    from PIL import Image

_LEAST_AREA = {"mild": 0.6, "strong": 0.25}  # smallest fraction of the image that a view shows


class Augmentation(StrEnum):
    """Strength of the augmentation."""

    NONE = "none"
    MILD = "mild"
    STRONG = "strong"


def views(image: Image.Image, kind: Augmentation | str, n: int, seed: int) -> list[Image.Image]:
    """Return n random views of an RGB image at its size; the same seed gives the same views.

    kind: "mild" flips, resizes and crops; "strong" also changes colours, blurs and solarises, as DINO does (without
    multi-crop); "none" repeats the image.
    """
    torch = import_optional("torch", "augmenting images")
    whole("n", n, 1)
    strength = Augmentation(kind)
    if strength is Augmentation.NONE:
        return [image] * n
    transform = _transform(strength, image.height, image.width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return [transform(image) for _ in range(n)]


def _transform(kind: Augmentation, height: int, width: int) -> Any:
    t = import_optional("torchvision.transforms", "augmenting images")

    steps: list[Any] = [
        t.RandomHorizontalFlip(),
        t.RandomResizedCrop(
            (height, width), (_LEAST_AREA[str(kind)], 1.0), (0.85, 1.18), t.InterpolationMode.BICUBIC
        ),
    ]
    if kind is Augmentation.STRONG:
        steps += [
            t.RandomApply([t.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
            t.RandomGrayscale(p=0.2),
            t.RandomApply([t.GaussianBlur(2 * (min(height, width) // 20) + 1, (0.1, 2.0))], p=0.5),
            t.RandomSolarize(128, p=0.2),
        ]
    return t.Compose(steps)
