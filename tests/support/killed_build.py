"""A build that is interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from attribution_core.collection import shards


@contextmanager
def killed_at_shard(number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A context whose build is interrupted before it writes the shard of a number, counted from 0."""
    real = shards.write

    def write(*given: Any) -> None:
        if given[-1] == number:
            raise KeyboardInterrupt
        real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(shards, "write", write)
        with pytest.raises(KeyboardInterrupt):
            yield
