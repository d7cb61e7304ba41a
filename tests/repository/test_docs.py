"""README and docs keep up with the code: every encoder, command and setting, links, and what a Space and CI read."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from attribution_core.cli.main import app
from attribution_core.encoding.encoders import ENCODERS
from attribution_core.generation.table import GENERATORS
from attribution_core.settings import Settings
from deploy.files import SPACE, matching, tracked

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_, FRONT, BODY = README.split("---\n", 2)
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
}
ALL = BODY + "".join(text for name, text in PAGES.items() if name.startswith("docs/"))
CI = sorted((ROOT / ".github").rglob("*.yml"))


def commands() -> list[str]:
    return sorted(typer.main.get_command(app).commands)


def row_of(name: str, page: str) -> list[str]:
    """The cells of a page's row that begins with a name."""
    lines = PAGES[f"docs/{page}.md"].splitlines()
    row = next((line for line in lines if line.startswith(f"| `{name}` |")), "")
    assert row, f"no row for {name} in docs/{page}.md"
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_has_its_row(name: str) -> None:
    spec, cells = ENCODERS[name], row_of(name, "encoders")
    assert cells[1:3] == [str(spec.dim), str(spec.input_size)]
    assert (spec.licence or "none stated") in cells


@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_has_its_row(name: str) -> None:
    spec, cells = GENERATORS[name], row_of(name, "generators")
    usual = "by its card" if spec.defaults is None else f"{spec.defaults.steps}, {spec.defaults.guidance:g}"
    where = f"`{spec.hub}`" if spec.hub else "bundled"
    assert cells[1:] == [
        where,
        spec.licence + (", accepted on its page" if spec.gated else ""),
        str(spec.size),
        usual,
        "yes" if spec.safety_checker else "no",
    ]


@pytest.mark.parametrize("name", commands())
def test_every_command_is_explained_with_options_that_it_has(name: str) -> None:
    rows = re.findall(
        rf"^\| `python -m attribution_core {name}\b(.*)`", PAGES["docs/commands.md"], re.MULTILINE
    )
    assert rows
    known = {flag for one in typer.main.get_command(app).commands[name].params for flag in one.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z-]+", "".join(rows))) <= known


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_listed_with_its_meaning(name: str) -> None:
    field = Settings.model_fields[name]
    cells = row_of(f"ATTRIBUTION_{name.upper()}", "settings")
    assert cells[2] == field.description
    if isinstance(field.default, (bool, int, float)):
        assert cells[1].strip("`") == str(field.default).lower()


def test_no_setting_or_command_is_made_up() -> None:
    known = {f"ATTRIBUTION_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"ATTRIBUTION_[A-Z0-9_]+", ALL)) <= known
    told = ALL + PAGES["CONTRIBUTING.md"]
    assert set(re.findall(r"python -m attribution_core ([a-z][a-z-]*)", told)) <= set(commands())
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", told, re.MULTILINE)) <= targets


def test_every_public_name_is_in_the_table_or_an_error() -> None:
    import attribution_core

    missing = [
        name
        for name in attribution_core.__all__
        if not name.endswith("Error")
        and not name.startswith("__")
        and f"`{name}`" not in PAGES["docs/python-api.md"]
    ]
    assert missing == []


def test_files_and_functions_of_the_two_data_flows_are_there() -> None:
    """Each row of the tables names functions and, last but one, the files that define them."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGES["docs/architecture.md"].splitlines()
        if line.startswith("| ") and line.count("|") == 5 and ".py`" in line
    ]
    assert len(rows) > 18
    for _, functions, files, _ in rows:
        code = "".join(
            (ROOT / "attribution_core" / name).read_text() for name in re.findall(r"`([^`]+)`", files)
        )
        for name in re.findall(r"`([^`]+)`", functions):
            last = name.split(".")[-1]
            assert re.search(rf"(def|class) {last}\b", code) or last in ("add", "save", "search"), (
                name,
                files,
            )


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200


def named_pages(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [name for one in (nav.values() if isinstance(nav, dict) else nav) for name in named_pages(one)]


def test_every_page_is_in_the_navigation_and_reached_from_the_readme() -> None:
    pages = {name.removeprefix("docs/") for name in PAGES if name.startswith("docs/")}
    nav = named_pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert sorted(nav) == sorted(pages)
    assert pages - set(re.findall(r"\]\(docs/([\w-]+\.md)", BODY)) == {"index.md", "contributing.md"}


def test_front_matter_is_what_a_space_needs() -> None:
    front = yaml.safe_load(FRONT)
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    assert front["sdk"] == "gradio"
    assert front["sdk_version"] == pins["gradio"]
    assert (ROOT / front["app_file"]).is_file()
    assert front["license"] == "apache-2.0"
    assert front["python_version"] == "3.12", "what ZeroGPU offers, of what the package accepts"
    assert len(front["short_description"]) <= 60
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {front["colorFrom"], front["colorTo"]} <= colours


def anchors(text: str) -> set[str]:
    """What a heading is called in a link, as GitHub and mkdocs call it."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    text = re.sub(r"^```.*?^```", "", PAGES[name], flags=re.MULTILINE | re.DOTALL)
    wrong = []
    for target in re.findall(r"(?:\]\(|src=\"|srcset=\")([^)\"\s]+)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = ((ROOT / name).parent / file).resolve() if file else ROOT / name
        if not path.is_file() or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
            wrong.append(target)
    assert wrong == []


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_a_space_gets_what_its_readme_links_to() -> None:
    linked = {target for target in re.findall(r"\]\(([^)#\s]+)", BODY) if not re.match(r"[a-z]+:", target)}
    assert len(linked) > 20
    assert linked - set(matching(tracked(), SPACE)) == set()


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {value for key, value in attrs if key in ("href", "src") and value}


def test_the_site_is_built_strictly_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    wrong = []
    pages = [page for page in tmp_path.rglob("*.html") if page.name != "404.html"]
    assert len(pages) >= len([name for name in PAGES if name.startswith("docs/")])
    for page in pages:
        reader = _Links()
        reader.feed(page.read_text(encoding="utf-8"))
        for target in reader.found:
            file = target.split("#")[0]
            if file and not re.match(r"[a-z]+:", file) and not (page.parent / file).exists():
                wrong.append((page.name, target))
    assert wrong == []


YAML = [ROOT / name for name in ("mkdocs.yml", "CITATION.cff", ".pre-commit-config.yaml")]


@pytest.mark.parametrize("path", [*YAML, *CI], ids=lambda p: p.name)
def test_yaml_is_read(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)


def test_versions_are_the_same_everywhere() -> None:
    import attribution_core

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == attribution_core.__version__ and citation["license"] == project["license"]
    assert citation["references"][0]["title"] in BODY
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    revisions = {repo["repo"].rsplit("/", 1)[-1]: repo["rev"] for repo in hooks}
    assert f"ruff=={revisions['ruff-pre-commit'].removeprefix('v')}" in (ROOT / "constraints.txt").read_text()


def test_ci_runs_parts_that_there_are_and_python_that_is_accepted() -> None:
    run = (ROOT / ".ci/run").read_text(encoding="utf-8")
    parts = {
        part
        for line in re.findall(r"^  ([a-z| -]+)\)", run, re.MULTILINE)
        for part in re.split(r"\s*\|\s*", line)
    }
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    matrix = jobs["check"]["strategy"]["matrix"]
    asked = {*matrix["part"], *(one["part"] for one in matrix["include"]), "artefacts"}
    assert asked | {"all"} == parts
    assert ".ci/run artefacts" in (ROOT / ".github/workflows/artefacts.yml").read_text(encoding="utf-8")
    assert {*matrix["python"], *(one["python"] for one in matrix["include"])} == {"3.11", "3.12", "3.13"}
    used = set(re.findall(r"tests/[\w/.]+", run))
    assert used and all((ROOT / name).exists() for name in used)


def test_issue_forms_have_what_github_asks_for() -> None:
    forms = [path for path in CI if path.parent.name == "ISSUE_TEMPLATE" and path.name != "config.yml"]
    assert {path.stem for path in forms} == {"bug", "wrong_credit", "feature"}
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert form["name"] and form["description"] and any(one["type"] != "markdown" for one in form["body"])
        ids = [one["id"] for one in form["body"] if one["type"] != "markdown"]
        assert len(ids) == len(set(ids)) and all(
            one["attributes"].get("label") for one in form["body"] if "id" in one
        )
