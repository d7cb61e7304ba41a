"""The perceptual hash, held against the package imagehash, and how far copies are from their originals."""

from __future__ import annotations

import io

import imagehash
import pytest
from PIL import Image

from attribution_core.corpus.perceptual_hash import NEAR, perceptual_hash, read_hash
from attribution_core.errors import InvalidInputError
from tests.support.fakes import shape_image
from tests.support.images import encoded


@pytest.mark.parametrize("seed", range(20))
def test_it_is_that_of_imagehash(seed: int) -> None:
    for image in (shape_image(seed), shape_image(seed).resize((333, 90)), Image.effect_noise((99, 70), 40)):
        assert f"{perceptual_hash(image):016x}" == str(imagehash.phash(image))


def test_copies_are_near_and_others_are_not() -> None:
    noise = [Image.effect_noise((128, 128), 60).resize((200, 200)) for _ in range(20)]
    own = [perceptual_hash(image) for image in noise]
    for k, image in enumerate(noise):
        copy = Image.open(io.BytesIO(encoded(image.resize((120, 120)), "JPEG", quality=60)))
        distances = [(perceptual_hash(copy) ^ other).bit_count() for other in own]
        assert distances[k] <= NEAR
        assert min(distances[:k] + distances[k + 1 :]) > NEAR


@pytest.mark.parametrize("text", ["", "ff", "g" * 16, "0" * 17, "-" + "1" * 15])
def test_what_is_no_hash_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="16 hexadecimal digits"):
        read_hash(text)
    assert read_hash(" 0xFF00ff00FF00ff00 ") == 0xFF00FF00FF00FF00
