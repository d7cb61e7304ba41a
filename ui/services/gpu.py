"""Where GPU work runs: here, or on a ZeroGPU Space in a process of its own that has the GPU only for so long.

There a function that was marked by `spaces.GPU` runs in a fork of the app: what it is given and what it returns is
pickled, and all that it stores is lost. So only work is marked that stores nothing, and all models must be loaded
before the page is launched. Everywhere else nothing is changed.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.encoding.encoders import Encoder
from attribution_core.errors import AttributionError

ENCODING_S, GENERATION_S, TUNING_S = 30, 60, 120
"""Seconds for which work asks for the GPU; a visitor's quota must hold them."""


def _space() -> Any:
    """The package `spaces` where this is a ZeroGPU Space, else None; it must be there before CUDA is touched."""
    if os.environ.get("SPACES_ZERO_GPU", "").lower() not in ("1", "t", "true"):
        return None
    try:
        import spaces
    except ImportError:
        return None
    return spaces


SPACES = _space()


@dataclass(frozen=True)
class _Outcome:
    """What the fork hands back: a value, or a user's mistake, which `spaces` would make a nameless error of."""

    value: Any = None
    error: AttributionError | None = None

    def get(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


def on_gpu(work: Callable[..., Any], seconds: int) -> Callable[..., Any]:
    """The same function or generator function, which has the GPU of a ZeroGPU Space while it runs.

    work: stores nothing; its arguments and results can be pickled. seconds: that it takes at most.
    """
    if SPACES is None:
        return work
    if inspect.isgeneratorfunction(work):

        @functools.wraps(work)
        def steps(*given: Any) -> Iterator[_Outcome]:
            try:
                for value in work(*given):
                    yield _Outcome(value)
            except AttributionError as error:
                yield _Outcome(error=error)

        held = SPACES.GPU(duration=seconds)(steps)

        @functools.wraps(work)
        def stream(*given: Any) -> Iterator[Any]:
            with closing(held(*given)) as outcomes:
                for outcome in outcomes:
                    yield outcome.get()

        return stream

    @functools.wraps(work)
    def whole(*given: Any) -> _Outcome:
        try:
            return _Outcome(work(*given))
        except AttributionError as error:
            return _Outcome(error=error)

    held = SPACES.GPU(duration=seconds)(whole)

    @functools.wraps(work)
    def call(*given: Any) -> Any:
        return held(*given).get()

    return call


class GpuEncoder:
    """An encoder that has the GPU of a ZeroGPU Space only while it encodes."""

    def __init__(self, encoder: Encoder) -> None:
        """encoder: loaded."""
        self.name, self.dim = encoder.name, encoder.dim
        self._encode = on_gpu(encoder.encode, ENCODING_S)

    def encode(self, images: Sequence[Image.Image], batch_size: int | None = None) -> NDArray[np.float32]:
        """Features as of `Encoder.encode`."""
        features: NDArray[np.float32] = self._encode(list(images), batch_size)  # what opens files stays here
        return features
