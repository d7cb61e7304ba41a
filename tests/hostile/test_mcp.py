"""The MCP server: images come as data, and neither paths nor addresses are followed."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from attribution_core.settings import Settings
from tests.support.browser import start
from tests.support.fakes import shape_image
from tests.support.images import bomb, encoded, of_scans
from ui.services.folder import private_folder

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mcp") is None, reason="the package mcp is not installed"
)
PIECE = encoded(shape_image(3), "PNG")


@pytest.fixture(scope="module")
def url(small_collection: Path) -> Iterator[str]:
    yield from start(Settings(port=0, collection=small_collection, top=20, max_upload_mb=1, mcp=True))


def as_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def answers(url: str, images: list[Any]) -> list[tuple[bool, str]]:
    """For each image, whether the tool called it an error, and its words."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def talk() -> list[tuple[bool, str]]:
        async with (
            streamablehttp_client(f"{url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            told = [
                await session.call_tool("attribute_image", {"image": image, "top": 3}) for image in images
            ]
            return [(bool(one.isError), str(one.content[0].text)) for one in told]

    with ThreadPoolExecutor(1) as pool:  # the browser tests' own loop may run in this thread
        return pool.submit(asyncio.run, asyncio.wait_for(talk(), 120)).result()


def test_only_images_that_come_as_data_are_taken(url: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    shape_image(3).save(secret)
    refused = {
        str(secret): "data URI",
        f"file://{secret}": "data URI",
        "/dev/zero": "data URI",
        "http://127.0.0.1:9/a.png": "addresses are not fetched",
        "https://example.com/a.png": "addresses are not fetched",
        "data:image/png;base64,###": "not base64",
        as_uri(b"x" * 1_100_000): "at most 1 MB",
        as_uri(b"no image"): "cannot be read",
        as_uri(bomb(12_000)): "megapixels",
        as_uri(of_scans(101, 64)): "101 scans",
    }
    for (is_error, text), words in zip(answers(url, list(refused)), refused.values(), strict=True):
        assert is_error and words in text and str(private_folder()) not in text, (words, text)
    ((is_error, text),) = answers(url, [as_uri(PIECE)])
    assert not is_error and '"top"' in text
