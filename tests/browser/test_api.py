"""The public API: `attribute_image` and `generate_image` by gradio_client, and as tools of an MCP server."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import io
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from attribution_core.common.images import read_image, read_recipe
from attribution_core.generation.recipe import Recipe
from attribution_core.settings import Settings
from tests.support.browser import start
from tests.support.fakes import fake_collection, shape_image
from tests.support.tiny_pipeline import make_pocket_like

HAS_MCP = importlib.util.find_spec("mcp") is not None
needs_mcp = pytest.mark.skipif(not HAS_MCP, reason="the package mcp is not installed")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of shapes with a tiny generator."""
    folder = tmp_path_factory.mktemp("api") / "shapes"
    fake_collection(folder, n=60)
    make_pocket_like(folder / "generator")
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    yield from start(Settings(port=0, collection=folder, top=20, mcp=HAS_MCP))


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


def by_command(image: Path, collection: Path, top: int) -> Any:
    command = [
        sys.executable,
        "-m",
        "attribution_core",
        "attribute",
        str(image),
        "--collection",
        str(collection),
        "--top",
        str(top),
        "--json",
    ]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120).stdout)


@pytest.mark.parametrize("endpoint", ["/attribute_image", "/check_copy"])
def test_no_file_of_the_server_is_read_that_nobody_uploaded(
    client: Client, tmp_path: Path, endpoint: str
) -> None:
    secret = tmp_path / "secret.png"
    shape_image(3).save(secret)
    with pytest.raises(AppError, match="no uploaded file"):
        client.predict({"path": str(secret)}, api_name=endpoint)


def test_attribute_image_answers_as_the_command_does(client: Client, folder: Path, tmp_path: Path) -> None:
    shape_image(7).save(tmp_path / "seven.png")
    told = client.predict(handle_file(tmp_path / "seven.png"), top=5, api_name="/attribute_image")
    wanted = by_command(tmp_path / "seven.png", folder, 5)
    assert {k: v for k, v in told.items() if not isinstance(v, (list, float))} == {
        k: v for k, v in wanted.items() if not isinstance(v, (list, float))
    }
    assert told["top"][0]["id"] == "shape/0007"
    assert [list(row) for row in told["top"]] == [list(row) for row in wanted["top"]]
    for ours, theirs in zip(told["top"], wanted["top"], strict=True):
        assert ours["id"] == theirs["id"]
        assert ours["influence"] == pytest.approx(theirs["influence"], rel=1e-6)
    assert told["rest"] == pytest.approx(wanted["rest"], rel=1e-6)


def test_generate_image_gives_image_recipe_and_attribution(client: Client) -> None:
    path, recipe, told = client.predict(
        "red cat", seed=3, steps=2, guidance=2.0, top=4, api_name="/generate_image"
    )
    assert recipe["prompt"] == "red cat"
    assert (recipe["seed"], recipe["steps"], recipe["guidance"]) == (3, 2, 2.0)
    assert len(recipe["generator_sha256"]) == 64
    carried = read_recipe(path)
    assert carried is not None and asdict(Recipe.from_dict(carried)) == recipe
    assert len(told["top"]) == 4
    assert sum(row["influence"] for row in told["top"]) + told["rest"] == pytest.approx(1)
    alone = client.predict(handle_file(path), top=4, api_name="/attribute_image")
    assert alone == told
    again, *_ = client.predict("red cat", 3, 2, 2.0, api_name="/generate_image")
    assert read_image(again).tobytes() == read_image(path).tobytes()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"prompt": " "}, "prompt is empty"),
        ({"prompt": "cat", "seed": -1}, "Seed must be"),
        ({"prompt": "cat", "steps": 0}, "Steps must be"),
        ({"prompt": "cat", "guidance": 31}, "Guidance must be"),
        ({"prompt": "cat", "steps": 2, "top": 0}, "Top is 0"),
        ({"prompt": "cat", "steps": 2, "method": "none such"}, "unknown method|Unknown method"),
    ],
)
def test_bad_values_are_one_sentence(client: Client, given: dict[str, Any], words: str) -> None:
    with pytest.raises(AppError, match=words):
        client.predict(**given, api_name="/generate_image")


def test_both_are_described_for_those_who_call_them(client: Client) -> None:
    told = client.view_api(return_format="dict")["named_endpoints"]
    for name, names in (
        ("/attribute_image", ["image", "top", "method"]),
        ("/generate_image", ["prompt", "seed", "steps", "guidance", "top", "method"]),
    ):
        assert [p["parameter_name"] for p in told[name]["parameters"]] == names
        assert all(p["parameter_has_default"] for p in told[name]["parameters"][1:])


@needs_mcp
def test_the_mcp_server_has_these_two_tools_and_says_what_they_take(url: str) -> None:
    with urllib.request.urlopen(f"{url}/gradio_api/mcp/schema", timeout=30) as page:
        tools = {tool["name"]: tool for tool in json.load(page)}
    assert set(tools) == {"attribute_image", "generate_image"}
    for tool in tools.values():
        assert tool["description"].split(". ")[0] in (
            "Estimate which training images most influenced an image that a text-to-image model made",
            "Make one image from a prompt with the collection's own generator, and estimate what influenced it",
        )
        assert "Returns: " in tool["description"]
        told = tool["inputSchema"]["properties"]
        assert all(len(value["description"]) > 20 for value in told.values()), told
    assert tools["attribute_image"]["inputSchema"]["required"] == ["image"]
    assert tools["generate_image"]["inputSchema"]["required"] == ["prompt"]


@needs_mcp
def test_an_mcp_client_calls_both(url: str, folder: Path) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def talk() -> tuple[list[str], Any, Any]:
        async with (
            streamablehttp_client(f"{url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            names = [tool.name for tool in (await session.list_tools()).tools]
            made = await session.call_tool("generate_image", {"prompt": "red cat", "seed": 3, "steps": 2})
            buffer = io.BytesIO()
            shape_image(7).save(buffer, "PNG")
            data = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
            told = await session.call_tool("attribute_image", {"image": data, "top": 3})
            return names, made, told

    with ThreadPoolExecutor(1) as pool:  # the browser tests' own loop may run in this thread
        names, made, told = pool.submit(asyncio.run, talk()).result()
    assert sorted(names) == ["attribute_image", "generate_image"]
    assert not made.isError and not told.isError, (made, told)
    image, _, recipe, attribution = made.content
    assert Image.open(io.BytesIO(base64.b64decode(image.data))).size == (32, 32)
    assert json.loads(recipe.text)["seed"] == 3
    assert len(json.loads(attribution.text)["top"]) == 10
    assert json.loads(told.content[0].text)["top"][0]["id"] == "shape/0007"


def test_an_mcp_server_without_its_package_is_refused_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    from attribution_core.errors import MissingDependencyError
    from ui import api

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        api.need_mcp()
