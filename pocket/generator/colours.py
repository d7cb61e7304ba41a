"""Names a drawing's dominant colour, and recolours drawings."""

from __future__ import annotations

import colorsys

import numpy as np

# Hue in degrees at which each name begins, going round from red; from BROWN_BELOW in value on, orange is brown.
_HUES = (
    (12, "red"),
    (42, "orange"),
    (68, "yellow"),
    (165, "green"),
    (255, "blue"),
    (295, "purple"),
    (345, "pink"),
)
_BROWN_BELOW = 0.72
_SATURATED = 0.28
# What a recoloured drawing may become: hue in degrees, and what saturation and value are multiplied with.
TARGETS: dict[str, tuple[float, float, float]] = {
    "red": (0, 1.0, 1.0),
    "orange": (28, 1.0, 1.0),
    "yellow": (52, 1.0, 1.05),
    "green": (125, 0.95, 0.9),
    "blue": (218, 1.0, 1.0),
    "purple": (276, 0.9, 0.9),
    "pink": (334, 0.55, 1.1),
    "black": (0, 0.1, 0.25),
    "white": (0, 0.06, 1.25),
}
NAMES = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "grey", "white")
_DOMINANT = 0.5  # share of the drawing's pixels that its colour must have
_NEAR_HUE = 38.0  # degrees from the drawing's hue within which a pixel takes part in its recolouring
_WHITE = 243  # darkest channel of a background pixel


def to_hsv(pixels: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 RGB -> (..., 3) float32: hue in degrees, saturation and value in [0, 1]."""
    rgb = pixels.astype(np.float32) / 255
    high, low = rgb.max(-1), rgb.min(-1)
    span = high - low
    safe = np.where(span > 0, span, 1)
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = np.select([high == r, high == g], [(g - b) / safe % 6, (b - r) / safe + 2], (r - g) / safe + 4)
    return np.stack(
        [np.where(span > 0, hue * 60, 0), np.where(high > 0, span / np.where(high > 0, high, 1), 0), high], -1
    ).astype(np.float32)


def to_rgb(hsv: np.ndarray) -> np.ndarray:
    """Invert `to_hsv`: (..., 3) -> (..., 3) uint8."""
    hue, saturation, value = hsv[..., 0] / 60, hsv[..., 1], hsv[..., 2]
    steps = (np.array([5, 3, 1], np.float32) + hue[..., None]) % 6
    share = np.clip(np.minimum(steps, 4 - steps), 0, 1)
    rgb = value[..., None] * (1 - saturation[..., None] * share)
    return np.asarray(np.round(np.clip(rgb, 0, 1) * 255), np.uint8)


def foreground(pixels: np.ndarray) -> np.ndarray:
    """(h, w) bool: all but the white that is joined to the border. pixels: (h, w, 3) uint8."""
    from scipy import ndimage

    labels, _ = ndimage.label(pixels.min(-1) >= _WHITE)
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return ~np.isin(labels, border[border > 0])


def _named(hsv: np.ndarray) -> np.ndarray:
    """(n, 3) -> (n,) index into NAMES."""
    hue, saturation, value = hsv[:, 0], hsv[:, 1], hsv[:, 2]
    edges = [edge for edge, _ in _HUES]
    by_hue = np.array([NAMES.index(name) for _, name in _HUES] + [NAMES.index("red")])
    named = by_hue[np.searchsorted(edges, hue, side="right")]
    warm = np.isin(named, [NAMES.index("orange"), NAMES.index("red")]) & (hue > 8) & (hue < 50)
    named = np.where(warm & (value < _BROWN_BELOW), NAMES.index("brown"), named)
    plain = np.where(value < 0.32, NAMES.index("black"), NAMES.index("grey"))
    plain = np.where(value > 0.85, NAMES.index("white"), plain)
    return np.where((saturation < _SATURATED) | (value < 0.2), plain, named)


def dominant(pixels: np.ndarray) -> str:
    """Return the colour of most of a drawing, one of `NAMES`, or "" if none covers half of it.

    pixels: (h, w, 3) uint8 on white.
    """
    return _dominant(to_hsv(pixels), foreground(pixels))


def _dominant(hsv: np.ndarray, there: np.ndarray) -> str:
    if there.sum() < 64:
        return ""
    counts = np.bincount(_named(hsv[there]), minlength=len(NAMES))
    first = int(counts.argmax())
    return NAMES[first] if counts[first] >= _DOMINANT * there.sum() else ""


def targets_of(name: str) -> tuple[str, ...]:
    """Return the possible targets for a drawing of a colour, in the order of `TARGETS`. name: from `dominant`."""
    if name in ("", "black"):  # too dark to be coloured
        return ()
    greys = ("black", "white") if name in ("white", "grey") else ()
    return tuple(target for target in TARGETS if target not in (name, *greys))


def recolour(pixels: np.ndarray, target: str) -> np.ndarray | None:
    """Replace a drawing's dominant colour by the target; outlines and other colours stay.

    pixels: (h, w, 3) uint8 on white. target: a key of `TARGETS`. Returns pixels alike, or None where the drawing has
    no dominant colour or cannot become the target's.
    """
    there, hsv = foreground(pixels), to_hsv(pixels)
    name = _dominant(hsv, there)
    if target not in targets_of(name):
        return None
    hue, saturation, value = TARGETS[target]
    if name in ("white", "grey"):
        part = there & (hsv[..., 1] < _SATURATED) & (hsv[..., 2] > 0.35)
        tint = np.array(colorsys.hsv_to_rgb(hue / 360, 0.75 * saturation, 1.0))
        tinted = np.asarray(np.round(pixels * tint), np.uint8)
        return np.where(part[..., None], tinted, pixels)
    strong = there & (hsv[..., 1] >= _SATURATED) & (hsv[..., 2] >= 0.2)
    of_name = strong.copy()
    of_name[strong] = _named(hsv[strong]) == NAMES.index(name)
    angle = np.deg2rad(hsv[..., 0][of_name])
    centre = np.rad2deg(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean()))
    away = (hsv[..., 0] - centre + 180) % 360 - 180
    # Pixels of an antialiased edge are partly white: they change in part.
    part = there * (np.abs(away) < _NEAR_HUE) * np.clip(hsv[..., 1] / 0.15, 0, 1)
    brighter = 1.35 if name == "brown" and target not in ("black", "white") else 1.0
    changed = np.stack(
        [
            (hue + away / 2) % 360,
            np.clip(hsv[..., 1] * saturation, 0, 1),
            np.clip(hsv[..., 2] * value * brighter, 0, 0.94 if target == "white" else 1),
        ],
        -1,
    )
    mixed = part[..., None] * to_rgb(changed) + (1 - part[..., None]) * pixels
    return np.asarray(np.round(mixed), np.uint8)
