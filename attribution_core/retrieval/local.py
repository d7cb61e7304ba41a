"""What backends share that keep all rows in this process and in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from attribution_core.common.progress import OnProgress


class LocalFile:
    """Works everywhere, and leaves nothing but its file."""

    FILE: ClassVar[str]
    """Name of the backend's file."""

    @classmethod
    def check(cls, factory: str, folder: Path | None) -> str:
        """Return the factory unchanged; it works everywhere."""
        return factory

    @classmethod
    def clean_up(cls, folder: Path, keep: Any = None) -> bool:
        """Delete the file of a replaced index."""
        if keep is None:
            (folder / cls.FILE).unlink(missing_ok=True)
        return True

    def finish(self, on_progress: OnProgress | None) -> None:
        """Do nothing: rows can be searched as they are."""

    def delete(self) -> None:
        """Do nothing: everything is in this process's memory."""
