"""Errors: their family, and the help that messages give."""

import subprocess
import sys

import pytest

import attribution_core
from attribution_core import errors
from attribution_core.errors import AttributionError, UnknownNameError, unknown_name


def test_every_error_is_an_attribution_error():
    leaves = [
        item
        for item in vars(errors).values()
        if isinstance(item, type) and item.__module__ == errors.__name__
    ]
    assert len(leaves) >= 8
    assert all(issubclass(leaf, AttributionError) for leaf in leaves)


def test_unknown_name_suggests_the_nearest_and_lists_all():
    error = unknown_name("encoder", "dino-b", ["clip-vit-b32", "dino-vitb16", "sscd"])
    assert isinstance(error, UnknownNameError)
    assert str(error) == (
        "unknown encoder 'dino-b'; did you mean 'dino-vitb16'? Known: clip-vit-b32, dino-vitb16, sscd."
    )


@pytest.mark.parametrize("given", ["flat", "FLAT", "Flatt"])
def test_unknown_name_ignores_case(given):
    assert "did you mean 'Flat'?" in str(unknown_name("factory", given, ["Flat", "SQfp16"]))


def test_unknown_name_suggests_nothing_far_fetched():
    assert str(unknown_name("encoder", "zzzz", ["clip"])) == "unknown encoder 'zzzz'; known: clip."
    assert str(unknown_name("encoder", "x", [])) == "unknown encoder 'x'; known: none."


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, attribution_core\n"
        "heavy = {'torch', 'faiss', 'gradio', 'numpy', 'scipy', 'diffusers', 'PIL'} & set(sys.modules)\n"
        "raise SystemExit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_scoring_loads_neither_torch_nor_faiss():
    code = (
        "import sys\n"
        "from attribution_core import Attribution, Calibrator, MapperPair\n"
        "raise SystemExit(', '.join(sorted({'torch', 'faiss', 'gradio'} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_public_names_have_a_home_and_others_fail_plainly():
    assert set(attribution_core.__all__) == set(attribution_core._HOME)
    assert set(attribution_core.__all__) <= set(dir(attribution_core))
    assert attribution_core.Rest is __import__("attribution_core.retrieval.rest").retrieval.rest.Rest
    with pytest.raises(AttributeError, match="no attribute 'Ret'"):
        _ = attribution_core.Ret
