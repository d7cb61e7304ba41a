"""What visitors read: no sentence on a tab is too long."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ui.widgets
from attribution_core.settings import Settings
from tests.support.sentences import MOST_WORDS, long_sentences, sentences
from ui.page import build
from ui.services.app import Services

ROOT = Path(__file__).parents[2]
WORDED = ("ui/tabs", "ui/widgets", "ui/services", "attribution_core/reports/wording")
TEXTS = [name for _, name, _ in pkgutil.iter_modules(ui.widgets.__path__) if name.endswith("_texts")]
SHOWN = ("label", "info", "placeholder", "headers", "choices", "title", "alt_text")
"""What components show of their configuration; these show their value as well:"""
WITH_VALUE = ("html", "markdown", "button", "downloadbutton")


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for one in value.values() for text in strings(one))
    elif isinstance(value, (list, tuple)):
        yield from (text for one in value for text in strings(one))


def page_texts() -> list[str]:
    """What the page shows before anything is done on it."""
    page = build(Services.open(Settings()))
    return [
        text
        for component in page.config["components"]
        for name in (*SHOWN, *(("value",) if component["type"] in WITH_VALUE else ()))
        for text in strings(component["props"].get(name))
    ]


def written(code: str) -> Iterator[str]:
    """Strings of a module but for docstrings and scripts; a value that is filled in counts as one word."""
    tree = ast.parse(code)
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }

    def visit(node: ast.AST) -> Iterator[str]:
        if id(node) in docstrings:
            return
        if (text := words(node)) is not None:
            yield text
        if not isinstance(node, ast.JoinedStr):
            yield from (found for child in ast.iter_child_nodes(node) for found in visit(child))
            return
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield from visit(part.value)

    yield from (text for text in visit(tree) if "=>" not in text)


def words(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "0" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = words(node.left), words(node.right)
        return None if left is None and right is None else f"{left or '0'}{right or '0'}"
    return None


def test_the_texts_of_a_tab_have_no_long_sentence() -> None:
    assert {"compare_texts", "memorization_texts", "regions_texts", "training_set_texts"} < set(TEXTS)
    modules = [importlib.import_module(f"ui.widgets.{name}") for name in TEXTS]
    found = [
        text
        for module in modules
        for name, value in vars(module).items()
        if not name.startswith("__")
        for text in strings(value)
    ]
    assert "Whose work is closest to each field?" in found
    assert long_sentences(found) == []


def test_the_page_shows_no_long_sentence() -> None:
    shown = page_texts()
    said = [sentence for text in shown for sentence in sentences(text)]
    assert len(said) > 300 and {"Generate", "Is my work in here?", "Which is the original?"} <= set(said)
    assert long_sentences(shown) == []


@pytest.mark.parametrize("folder", WORDED)
def test_no_module_that_words_things_holds_a_long_sentence(folder: str) -> None:
    modules = sorted((ROOT / folder).rglob("*.py"))
    assert modules
    assert {
        str(path): long for path in modules if (long := long_sentences(written(path.read_text("utf-8"))))
    } == {}


@pytest.mark.parametrize("join", ["{}", "<p>Short.</p><p>{}</p>", "“Ah?” {}", "<h2>Title</h2>{}"])
def test_a_sentence_of_one_word_too_many_is_found(join: str) -> None:
    most = [*["<b>word</b>"] * (MOST_WORDS - 1), "end."]
    assert long_sentences([join.format(" ".join(most)), join.format(" ".join(["Two.", *most]))]) == []
    assert len(long_sentences([join.format(" ".join(["one", *most]))])) == 1


def test_a_long_sentence_in_code_is_found_but_not_in_a_docstring() -> None:
    many = " ".join(["word"] * MOST_WORDS)
    assert long_sentences(written(f'"""{many} more"""\nx = "{many}"')) == []
    assert len(long_sentences(written(f'x = f"{many} {{1 + 1}}"'))) == 1
    assert len(long_sentences(written(f'x = "{many}" + f(" more {{y}}") + " of it"'))) == 1
