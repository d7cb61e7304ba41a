"""Errors: one base, few leaves; each message says what was given, what was expected, how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AttributionError(Exception):
    """Base of every error that a user can mend; anything else that is raised is a defect of this library."""


class MissingDependencyError(AttributionError, ImportError):
    """An optional package is not installed; the message names it and the command that installs it."""


class CheckpointError(AttributionError):
    """A weights file, a card or a stored folder is missing, damaged, or not what it says it is."""


class OutputError(AttributionError):
    """A file or folder cannot be written: no room, no permission, or something else is there."""


class DownloadError(AttributionError):
    """A file cannot be fetched: no network, not there, no room for it, or not what was expected."""


class CollectionMismatchError(AttributionError, ValueError):
    """Two things that must belong together do not: encoders, dimensions or numbers of images differ."""


class UnknownNameError(AttributionError, LookupError):
    """A name is in no table; the message suggests the nearest one and lists what is known."""


class InvalidImageError(AttributionError, ValueError):
    """A file or object cannot be read as an image; the message says why."""


class InvalidInputError(AttributionError, ValueError):
    """An argument has the wrong shape, type or range, or holds NaN."""


class NotEnoughMemoryError(AttributionError, MemoryError):
    """A device has too little free memory; the message says how much is needed, or what takes less."""


class NotFittedError(AttributionError):
    """A learned value was asked for before it was fitted or loaded, or a fit found no solution."""


def unknown_name(kind: str, given: str, known: Iterable[str]) -> UnknownNameError:
    """Make (not raise) the error for a name that is in no table.

    Args:
        kind: What the name stands for, in the singular ("encoder").
        given: The name as it was given.
        known: All names that would have been right.

    Returns:
        An `UnknownNameError` such as "unknown encoder 'dino-b'; did you mean 'dino-vitb16'? Known: ...".
    """
    names = list(known)
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(str(given).lower(), list(by_lower), n=1, cutoff=0.5)
    hint = f"did you mean {by_lower[near[0]]!r}? " if near else ""
    listing = ", ".join(names) if names else "none"
    return UnknownNameError(f"unknown {kind} {given!r}; {hint}Known: {listing}.")
