"""The API without a browser: what scripts call by gradio_client, the tabs' own handlers, and the MCP server's tools."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import io
import json
import subprocess
import sys
import urllib.request
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from attribution_core.common.images import read_image, read_recipe
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.exports.croissant import croissant
from attribution_core.reports.exports.datacard import datacard
from attribution_core.reports.exports.facts import CollectionFacts
from attribution_core.reports.exports.training_summary import summary_markdown, summary_page
from tests.support.fakes import shape_image

needs_mcp = pytest.mark.skipif(
    importlib.util.find_spec("mcp") is None, reason="the package mcp is not installed"
)
ROOT = Path(__file__).resolve().parents[2]
ENDPOINTS = {
    "/generate",
    "/read_upload",
    "/show_example",
    "/random_seed",
    "/show_details",
    "/list_top",
    "/set_method",
    "/add_up",
    "/deal",
    "/guess_left",
    "/guess_right",
    "/leave_out",
    "/set_temperature",
    "/reset_temperature",
    "/stop",
    "/attribute_image",
    "/generate_image",
    "/report_html",
    "/report_json",
    "/report_json_ld",
    "/ledger_csv",
    "/ledger_json",
    "/ledger_json_ld",
    "/batch_images_csv",
    "/batch_images_jsonl",
    "/batch_makers_csv",
    "/batch_page",
    "/batch_json_ld",
    "/export_croissant_json",
    "/export_readme_md",
    "/export_training_summary_md",
    "/export_training_summary_html",
    "/return_to",
    "/compare",
    "/attribute_box",
    "/region_grid",
    "/second_opinion",
    "/make_case",
    "/try_seeds",
    "/check_copy",
    "/model_check_html",
    "/model_check_json",
    "/tour_handout",
    "/would_be_credited",
    "/set_claim",
    "/share_card",
    "/browse_training_set",
    "/turn_page",
    "/choose_training_image",
    "/find_my_work",
    "/draw_again",
}


@pytest.fixture(scope="module")
def client(shapes_app: str) -> Client:
    return Client(shapes_app, verbose=False)


def test_every_handler_has_its_name_in_the_api(pocket_app: str) -> None:
    described = Client(pocket_app, verbose=False).view_api(print_info=False, return_format="dict")
    assert set(described["named_endpoints"]) == ENDPOINTS


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


def test_attribute_image_answers_as_the_command_does(client: Client, shapes: Path, tmp_path: Path) -> None:
    shape_image(7).save(tmp_path / "seven.png")
    told = client.predict(handle_file(tmp_path / "seven.png"), top=5, api_name="/attribute_image")
    wanted = by_command(tmp_path / "seven.png", shapes, 5)
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
    assert len(told["top"]) == 4 and told["n_training"] == 60
    assert sum(row["influence"] for row in told["top"]) + told["rest"] == pytest.approx(1)
    alone = client.predict(handle_file(path), top=4, api_name="/attribute_image")
    assert alone.pop("credentials")["prompt"] == recipe["prompt"]
    assert alone == told
    again, *_ = client.predict("red cat", 3, 2, 2.0, api_name="/generate_image")
    assert read_image(again).tobytes() == read_image(path).tobytes()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": " "}, "prompt is empty"),
        ({"prompt": "x" * 501}, "501 characters"),
        ({"prompt": "cat", "seed": -1}, "Seed must be"),
        ({"prompt": "cat", "seed": 1.5}, "(?i)seed"),
        ({"prompt": "cat", "steps": 0}, "Steps must be"),
        ({"prompt": "cat", "steps": 10_000}, "(?i)steps"),
        ({"prompt": "cat", "guidance": 31}, "Guidance must be"),
        ({"prompt": "cat", "guidance": 1e9}, "(?i)guidance"),
        ({"prompt": "cat", "steps": 2, "top": 0}, "Top is 0"),
        ({"prompt": "cat", "steps": 2, "method": "none such"}, "unknown method|Unknown method"),
    ],
)
def test_bad_values_are_one_sentence(client: Client, given: dict[str, Any], words: str) -> None:
    with pytest.raises(AppError, match=words) as caught:
        client.predict(**given, api_name="/generate_image")
    assert "Traceback" not in str(caught.value)


def test_bad_images_are_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(AppError, match=r"bad\.png.*cannot be read"):
        client.predict(handle_file(tmp_path / "bad.png"), 7, "", api_name="/attribute_image")
    shape_image(3).save(tmp_path / "good.png")
    with pytest.raises(AppError, match="Top is 0"):
        client.predict(handle_file(tmp_path / "good.png"), 0, "", api_name="/attribute_image")


def test_the_first_tabs_handlers_answer(client: Client) -> None:
    assert 0 <= client.predict(api_name="/random_seed") < 2**31
    steps = list(client.submit("red cat", 5, 3, 3.5, api_name="/generate"))
    assert "Attributing" in steps[-1][1]
    prompt, *_ = client.predict(1, api_name="/show_example")
    assert prompt == "red cat"
    with pytest.raises(AppError, match="not on the list"):
        client.predict(999, api_name="/show_example")


def test_handlers_of_a_visit_without_an_image_say_so(own_app: str, tmp_path: Path) -> None:
    client = Client(own_app, verbose=False)
    for name in ("report_html", "report_json", "report_json_ld"):
        with pytest.raises(AppError, match="nothing to report"):
            client.predict("own", 12, api_name=f"/{name}")
    for name in ("ledger_csv", "ledger_json", "ledger_json_ld"):
        with pytest.raises(AppError, match="has shares to add up"):
            client.predict(api_name=f"/{name}")
    with pytest.raises(AppError, match="not on the list"):
        client.predict(1, api_name="/return_to")
    shape_image(3).save(tmp_path / "x.png")
    client.predict(handle_file(tmp_path / "x.png"), api_name="/read_upload")
    side = ("the image shown now", "Shapes", "own")
    drawn = client.predict(12, *side, *side, api_name="/compare")
    assert "Nothing to compare" in drawn[0], "an upload alone attributes nothing"


def test_the_training_set_is_described_as_by_the_command(client: Client, shapes: Path) -> None:
    facts = CollectionFacts.open(shapes)
    for name, text in (
        ("export_croissant_json", croissant(facts)),
        ("export_readme_md", datacard(facts)),
        ("export_training_summary_md", summary_markdown(facts)),
        ("export_training_summary_html", summary_page(facts)),
    ):
        assert Path(client.predict(api_name=f"/{name}")).read_text() == text


def test_both_are_described_for_those_who_call_them(client: Client) -> None:
    told = client.view_api(print_info=False, return_format="dict")["named_endpoints"]
    for name, names in (
        ("/attribute_image", ["image", "top", "method"]),
        ("/generate_image", ["prompt", "seed", "steps", "guidance", "top", "method"]),
    ):
        assert [p["parameter_name"] for p in told[name]["parameters"]] == names
        assert all(p["parameter_has_default"] for p in told[name]["parameters"][1:])


@needs_mcp
def test_the_mcp_server_has_these_two_tools_and_says_what_they_take(shapes_app: str) -> None:
    with urllib.request.urlopen(f"{shapes_app}/gradio_api/mcp/schema", timeout=30) as page:
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
def test_an_mcp_client_calls_both(shapes_app: str) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def talk() -> tuple[list[str], Any, Any]:
        async with (
            streamablehttp_client(f"{shapes_app}/gradio_api/mcp/") as (read, write, _),
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

    names, made, told = asyncio.run(talk())
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
