"""The README keeps up with the code: every encoder, command and setting, and a front matter that a Space reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
import yaml

from attribution_core.cli.main import app
from attribution_core.encoding.encoders import ENCODERS
from attribution_core.generation.table import GENERATORS
from attribution_core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_, FRONT, BODY = README.split("---\n", 2)


def commands() -> list[str]:
    return sorted(typer.main.get_command(app).commands)


def row_of(name: str) -> list[str]:
    """The cells of the table's row that begins with a name."""
    row = next((line for line in BODY.splitlines() if line.startswith(f"| `{name}` |")), "")
    assert row, f"no row for {name} in the README's tables"
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_has_its_row(name: str) -> None:
    spec, cells = ENCODERS[name], row_of(name)
    assert cells[1:3] == [str(spec.dim), str(spec.input_size)]
    assert (spec.licence or "none stated") in cells


@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_has_its_row(name: str) -> None:
    spec, cells = GENERATORS[name], row_of(name)
    usual = "by its card" if spec.defaults is None else f"{spec.defaults.steps}, {spec.defaults.guidance:g}"
    where = f"`{spec.hub}`" if spec.hub else "ships with the repository"
    assert cells[1:] == [
        where,
        spec.licence + (", accepted on its page" if spec.gated else ""),
        str(spec.size),
        usual,
        "yes" if spec.safety_checker else "no",
    ]


@pytest.mark.parametrize("name", commands())
def test_every_command_is_explained(name: str) -> None:
    assert re.search(rf"python -m attribution_core {name}\b", BODY)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_listed(name: str) -> None:
    assert f"`ATTRIBUTION_{name.upper()}`" in BODY


def test_no_setting_or_command_is_made_up() -> None:
    known = {f"ATTRIBUTION_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"ATTRIBUTION_[A-Z_]+", BODY)) <= known
    assert set(re.findall(r"python -m attribution_core ([a-z][a-z-]*)", BODY)) <= set(commands())


def test_front_matter_is_what_a_space_needs() -> None:
    front = yaml.safe_load(FRONT)
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    assert front["sdk"] == "gradio"
    assert front["sdk_version"] == pins["gradio"]
    assert (ROOT / front["app_file"]).is_file()
    assert front["license"] == "apache-2.0"
    assert front["python_version"] in ("3.10", "3.12", 3.12), "what ZeroGPU offers"
    assert len(front["short_description"]) <= 60
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {front["colorFrom"], front["colorTo"]} <= colours


def test_links_to_files_lead_somewhere() -> None:
    targets = re.findall(r"(?:\]\(|src=\"|srcset=\")([^)\"#]+)", BODY)
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert len(local) > 3
    assert [target for target in local if not (ROOT / target).exists()] == []
