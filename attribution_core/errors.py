"""All errors: one base class and a few subclasses, with messages that give the problem, expectation and remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AttributionError(Exception):
    """Base of every error that a user can fix; any other exception is a bug in this library."""


class MissingDependencyError(AttributionError, ImportError):
    """An optional package is not installed; the message names it and the command that installs it."""


class CheckpointError(AttributionError):
    """A weights file, card or stored folder is missing, damaged or not what it claims to be."""


class OutputError(AttributionError):
    """A file or folder cannot be written: no space, no permission, or the path is taken."""


class DownloadError(AttributionError):
    """A file cannot be fetched: no network, not found, no space, or not what was expected."""


class CollectionMismatchError(AttributionError, ValueError):
    """Parts do not belong together: encoders, dimensions or numbers of images differ."""


class UnknownNameError(AttributionError, LookupError):
    """A name is unknown; the message suggests the closest one and lists all known names."""


class InvalidImageError(AttributionError, ValueError):
    """A file or object cannot be read as an image; the message says why."""


class InvalidInputError(AttributionError, ValueError):
    """An argument has the wrong shape, type or range, or holds NaN."""


class NotEnoughMemoryError(AttributionError, MemoryError):
    """A device has too little free memory; the message says how much is needed or how to need less."""


class NotFittedError(AttributionError):
    """A fitted value was used before fitting or loading, or a fit has no solution."""


def unknown_name(kind: str, given: str, known: Iterable[str]) -> UnknownNameError:
    """Create (not raise) the error for an unknown name.

    Args:
        kind: What is named, in the singular ("encoder").
        given: The unknown name.
        known: All valid names.

    Returns:
        An `UnknownNameError` such as "unknown encoder 'dino-b'; did you mean 'dino-vitb16'? Known: ...".
    """
    names = list(known)
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(str(given).lower(), list(by_lower), n=1, cutoff=0.5)
    hint = f"did you mean {by_lower[near[0]]!r}? Known" if near else "known"
    listing = ", ".join(names) if names else "none"
    return UnknownNameError(f"unknown {kind} {given!r}; {hint}: {listing}.")
