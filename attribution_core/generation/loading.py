"""Loads diffusers pipelines from a folder or the hub, with errors of one plain sentence."""

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
from attribution_core.common.text import first_line
from attribution_core.errors import CheckpointError, MissingDependencyError
from attribution_core.generation.adapters import Adapter
from attribution_core.generation.memory import MemoryPlan, weight_counts
from attribution_core.generation.table import PIPELINES, licence_notice

_LARGE = 500_000_000  # weights; above this, low_cpu_mem_usage avoids holding them twice while loading
_UNREACHABLE = {
    "ConnectError",
    "ConnectTimeout",
    "ConnectionError",
    "LocalEntryNotFoundError",
    "OfflineModeIsEnabled",
}


def check_kind(folder: Path) -> str:
    """Return the class name of a folder's pipeline. Raises `CheckpointError` if it is not in `PIPELINES`."""
    try:
        kind = read_json(folder / "model_index.json").get("_class_name")
    except (ValueError, AttributeError) as error:
        raise CheckpointError(
            f"'{folder / 'model_index.json'}' is not a pipeline's index ({error}); "
            "copy or build the generator again."
        ) from error
    if not isinstance(kind, str) or kind not in PIPELINES:
        raise CheckpointError(f"'{folder}' holds a {kind}; expected a diffusers {', '.join(PIPELINES)}.")
    return kind


def diffusers_library() -> Any:
    """Import diffusers, and transformers, which its text encoders need. Raises `MissingDependencyError`."""
    import_optional("transformers", "generating images")
    return import_optional("diffusers", "generating images")


def download(name: str) -> Path:
    """Fetch a pipeline from the hub or its cache; returns the folder. Raises a `CheckpointError` with the cause."""
    diffusers = diffusers_library()
    try:
        with quiet():  # the hub's own progress bars stay visible
            folder = Path(diffusers.DiffusionPipeline.download(name))
    except Exception as error:
        causes = _causes(error)
        kinds = {type(e).__name__ for e in causes}
        if "GatedRepoError" in kinds:
            raise CheckpointError(
                f"the hub denied access to the generator '{name}': its licence was not accepted with "
                f"this account. {licence_notice(name)}"
            ) from error
        if "RepositoryNotFoundError" in kinds:
            raise CheckpointError(
                f"'{name}' does not exist on the hub or is private; check the name, or log in with 'hf auth login'."
            ) from error
        if kinds & _UNREACHABLE:
            raise CheckpointError(
                f"the hub cannot be reached, and '{name}' is not complete in the local cache; "
                "go online once, or give the folder of a downloaded diffusers pipeline."
            ) from error
        if any("no space left" in str(e).lower() for e in causes):
            raise CheckpointError(
                f"the disk is full, so '{name}' was not fetched completely; make room, or set HF_HOME to a folder on "
                "a larger disk. The download will resume."
            ) from error
        raise CheckpointError(
            f"the generator '{name}' could not be fetched from the hub ({first_line(error)}); check the "
            "name and the connection, or give the folder of a downloaded diffusers pipeline."
        ) from error
    check_kind(folder)
    return folder


def _causes(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def load_pipeline(
    folder: Path, name: str, device: str, plan: MemoryPlan, adapter: Adapter | None = None
) -> Any:
    """Load a folder's pipeline for inference, on a device from `pick_device`, as a plan says.

    If there is a card, files are verified against it. adapter: applied to it. Raises `CheckpointError`,
    `MissingDependencyError`, or what `Adapter.apply` does; out-of-memory errors propagate unchanged.
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
            f"the generator '{name}' could not be loaded ({first_line(error)}); copy or build its folder again."
        ) from error
    if adapter is not None:  # before weights move to a device, or are left on the disk until they are needed
        adapter.apply(pipeline)
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
    """Silence the libraries' progress bars and log messages, some of which would log the prompt."""
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
