"""The app without a page: `attribute_image` and `generate_image`, over HTTP and as tools of an MCP server.

Their docstrings are what the clients of both are shown, so they speak to those.
"""

from __future__ import annotations

import base64
import importlib.util
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr
from gradio_client import handle_file

from attribution_core.common.optional import how_to_install
from attribution_core.errors import InvalidInputError, MissingDependencyError
from attribution_core.reports.as_dict import credentials_dict
from ui.gradio_compat import limit_tools
from ui.handler import handler
from ui.server.doors import alias
from ui.server.lanes import ATTRIBUTION, GENERATION
from ui.services.app import Query, Services
from ui.services.folder import private_folder
from ui.session import as_file

TOOLS = ("attribute_image", "generate_image")


def build(services: Services, page: gr.Blocks) -> None:
    """Add both calls to the page."""

    @handler
    def attribute_image(image: gr.FileData, top: int = 10, method: str = "") -> dict[str, Any]:
        """Estimate which training images most influenced an image that a text-to-image model made.

        Compares the image with every training image of the opened collection and turns similarities into calibrated
        shares that sum to 1 over the whole training set. A share is an estimate of influence, not proof of copying;
        small shares throughout mean that no training image stands out.

        Args:
            image: The generated image: PNG, JPEG, WebP, GIF, BMP or TIFF.
            top: How many training images to list, from 1 to what the server keeps, usually 100; most influential first.
            method: Another of the collection's methods (encoder and mappers) by its name; empty for the usual one.

        Returns:
            JSON: collection, encoder, n_training, temperature; rest with rest_low and rest_high, the share of all images that are not listed; top, a list of rank, id, similarity, influence (0 to 1) with its interval low and high, uncalibrated, caption, creator, source, licence, link and opted_out (why an image counts as opted out of training, else empty); credentials, what the file says of itself, or null.
        """  # noqa: E501 - Gradio takes each line under "Returns" for a value of its own
        query = services.read_upload(image["path"])
        told = services.attribute(query, method).head(top).to_dict()
        return {**told, "credentials": credentials_dict(query.credentials)}

    @handler
    def generate_image(
        prompt: str,
        seed: int = 1,
        steps: int = services.defaults.steps,
        guidance: float = services.defaults.guidance,
        top: int = 10,
        method: str = "",
    ) -> tuple[gr.FileData, dict[str, Any], dict[str, Any]]:
        """Make one image from a prompt with the collection's own generator, and estimate what influenced it.

        The same prompt, seed, steps and guidance give the same image again. The pocket generator knows drawings:
        name a thing and a style, such as "red apple, noto style".

        Args:
            prompt: What to draw, at most 500 characters.
            seed: A whole number from 0 to 4294967295; another seed gives another image.
            steps: Denoising steps, 1 to 200; more take longer.
            guidance: How closely to follow the prompt, 0 to 30.
            top: How many training images to list, from 1 to what the server keeps, usually 100; most influential first.
            method: Another of the collection's methods (encoder and mappers) by its name; empty for the usual one.

        Returns:
            The image as a PNG that carries its recipe
            JSON: the recipe that repeats it - prompt, seed, steps, guidance, generator, generator_sha256 and software
            JSON: the training images that most likely influenced it, as attribute_image gives them
        """
        made = next(
            event for event in services.generate(prompt, seed, steps, guidance) if isinstance(event, Query)
        )
        result = services.attribute(made, method).head(top)
        path = as_file(services.file_of(made, result)[0], f"{made.file_name}.png")
        image = {"path": path, "orig_name": Path(path).name, "meta": {"_type": "gradio.FileData"}}
        return image, asdict(made.recipe) if made.recipe else {}, result.to_dict()  # type: ignore[return-value]

    gr.api(attribute_image, api_name="attribute_image", **ATTRIBUTION)
    gr.api(generate_image, api_name="generate_image", **GENERATION)


def need_mcp() -> None:
    """Raises `MissingDependencyError` where the package of the MCP server is not installed."""
    if importlib.util.find_spec("mcp") is None:
        raise MissingDependencyError(f"the MCP server needs the package mcp; run `{how_to_install('mcp')}`.")


def keep_tools(page: gr.Blocks, most_bytes: int) -> None:
    """Leave the MCP server of a launched page, where it has one, only `TOOLS`, and let them answer with JSON.

    Gradio makes a tool of every handler of the tabs, and writes what is no file as Python would. most_bytes: of an
    image that comes as text.
    """
    limit_tools(page, TOOLS, _with_json, lambda uri: handle_file(as_file(_decoded(uri, most_bytes), "image")))


def _with_json(data: list[Any]) -> list[Any]:
    """What a handler gave, with all but files as JSON text."""
    # Gradio reads the files by the names under which its own client was told of them.
    folder = str(private_folder())
    data = json.loads(json.dumps(data).replace(alias(folder), folder))
    # Several values of one call come as one list inside the list.
    values = [value for part in data for value in (part if isinstance(part, (list, tuple)) else [part])]
    return [
        json.dumps(value, ensure_ascii=False) if isinstance(value, dict) and "meta" not in value else value
        for value in values
    ]


def _decoded(uri: Any, most_bytes: int) -> bytes:
    """The bytes of a data URI. Raises `InvalidInputError` for anything else."""
    head, _, text = uri.partition(",") if isinstance(uri, str) else ("", "", "")
    if not head.startswith("data:") or not head.endswith(";base64") or len(text) > most_bytes * 4 / 3 + 4:
        raise InvalidInputError(
            f"give the image itself as a data URI (data:image/png;base64,...), at most {most_bytes / 1e6:.0f} MB; "
            "addresses are not fetched."
        )
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidInputError("the data URI is not base64; encode the image's bytes anew.") from error
