"""From a folder or a name on the hub to a diffusers pipeline in memory; what goes wrong is one clear sentence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attribution_core.common.cards import CARD_NAME, verify_files
from attribution_core.common.devices import is_short
from attribution_core.common.json_text import read_json
from attribution_core.common.optional import import_optional
from attribution_core.errors import CheckpointError, MissingDependencyError
from attribution_core.generation.memory import MemoryPlan, weight_counts
from attribution_core.generation.table import PIPELINES, licence_notice

_LARGE = 500_000_000  # weights; larger networks are not made twice on the way into memory
_UNREACHABLE = {
    "ConnectError",
    "ConnectTimeout",
    "ConnectionError",
    "LocalEntryNotFoundError",
    "OfflineModeIsEnabled",
}


def check_kind(folder: Path) -> str:
    """The class of a folder's pipeline, a name of `PIPELINES`. Raises `CheckpointError` for any other."""
    try:
        kind = read_json(folder / "model_index.json").get("_class_name")
    except (ValueError, AttributeError) as error:
        raise CheckpointError(
            f"'{folder / 'model_index.json'}' is not a pipeline's index ({error}); "
            "copy or make the generator again."
        ) from error
    if not isinstance(kind, str) or kind not in PIPELINES:
        raise CheckpointError(f"'{folder}' holds a {kind}; expected a diffusers {', '.join(PIPELINES)}.")
    return kind


def diffusers_library() -> Any:
    """The package diffusers, with what it loads text encoders by. Raises `MissingDependencyError`."""
    import_optional("transformers", "generating images")
    return import_optional("diffusers", "generating images")


def download(name: str) -> Path:
    """Fetch a pipeline from the hub, or find it in the hub's cache. Raises `CheckpointError` that says why not."""
    diffusers = diffusers_library()
    try:
        with quiet():  # of the hub's own progress bars nothing is hidden
            folder = Path(diffusers.DiffusionPipeline.download(name))
    except Exception as error:
        causes = _causes(error)
        kinds = {type(e).__name__ for e in causes}
        if "GatedRepoError" in kinds:
            raise CheckpointError(
                f"the hub did not give the generator '{name}': its licence was not accepted with "
                f"this account. {licence_notice(name)}"
            ) from error
        if "RepositoryNotFoundError" in kinds:
            raise CheckpointError(
                f"the hub knows no '{name}', or keeps it private; check the name, or log in with "
                "'hf auth login'."
            ) from error
        if kinds & _UNREACHABLE:
            raise CheckpointError(
                f"the hub cannot be reached, and not all of '{name}' is in its cache here; "
                "go online once, or give the folder of a downloaded diffusers pipeline."
            ) from error
        if any("no space left" in str(e).lower() for e in causes):
            raise CheckpointError(
                f"the disk is full, so '{name}' was not fetched; make room, or set HF_HOME to a "
                "folder on a larger one. What was fetched is kept."
            ) from error
        raise CheckpointError(
            f"the generator '{name}' could not be fetched from the hub ({_first_line(error)}); check the "
            "name and the connection, or give the folder of a downloaded diffusers pipeline."
        ) from error
    check_kind(folder)
    return folder


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def load_pipeline(folder: Path, name: str, device: str, plan: MemoryPlan) -> Any:
    """The pipeline of a folder, for inference, on a device of `pick_device` as a plan says.

    Its files are compared with its card, where it has one. Raises `CheckpointError` or `MissingDependencyError`;
    running out of memory passes as it is.
    """
    diffusers = diffusers_library()
    import torch

    if (folder / CARD_NAME).is_file():
        verify_files(folder)
    large = sum(weight_counts(folder).values()) > _LARGE
    try:
        with quiet():
            pipeline = diffusers.DiffusionPipeline.from_pretrained(
                folder,
                torch_dtype=getattr(torch, plan.precision),
                low_cpu_mem_usage=large,
                local_files_only=True,
            )
    except Exception as error:
        if is_short(error):
            raise
        if "sentencepiece" in str(error).lower():
            raise MissingDependencyError(
                f"the text encoder of '{name}' needs sentencepiece; install it with "
                "'pip install sentencepiece'."
            ) from error
        raise CheckpointError(
            f"the generator '{name}' could not be loaded ({_first_line(error)}); copy or make "
            "its folder again."
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False).eval()
    if plan.attention_slicing:
        pipeline.enable_attention_slicing()
    if plan.vae_slicing:
        pipeline.vae.enable_slicing()
    if plan.vae_tiling:
        pipeline.vae.enable_tiling()
    if plan.offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif plan.offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    return pipeline if plan.offload else pipeline.to(device)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' progress bars and their remarks, some of which quote the prompt into the log."""
    import diffusers.utils.logging
    import transformers.utils.logging

    modules = (diffusers.utils.logging, transformers.utils.logging)
    earlier = [(m, m.get_verbosity(), m.is_progress_bar_enabled()) for m in modules]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        for module in modules:
            module.set_verbosity_error()
            module.disable_progress_bar()
        try:
            yield
        finally:
            for module, level, bar in earlier:
                module.set_verbosity(level)
                if bar:
                    module.enable_progress_bar()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
