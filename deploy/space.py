"""Uploads the app to a Hugging Face Space: `make deploy-space SPACE=user/name`, or `python -m deploy.space --help`.

The upload is one commit with exactly the tracked files that a Space needs; it also deletes files of earlier uploads
that are no longer needed.
"""

from __future__ import annotations

import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from attribution_core.collection.layout import needed_to_attribute
from attribution_core.common.cards import CARD_NAME
from attribution_core.common.text import first_line
from attribution_core.errors import (
    AttributionError,
    CheckpointError,
    InvalidInputError,
    MissingDependencyError,
)
from deploy.files import ROOT, SPACE, matching, revision, tracked, uncommitted

_HUB_FILES = {".gitattributes"}  # the Hub's own list of large files


@dataclass(frozen=True)
class Plan:
    """Content of a Space. files: path in the Space -> local path. variables: settings of the app on the Space."""

    space: str
    files: dict[str, Path]
    variables: dict[str, str]
    message: str

    @property
    def size(self) -> int:
        """Total bytes of all files."""
        return sum(path.stat().st_size for path in self.files.values())


def plan(space: str, collection: Path | None = None, root: Path = ROOT) -> Plan:
    """List the files and settings that a Space needs.

    space: "user/name". collection: folder of a collection that the Space opens instead of the pocket one; uploaded
    without the files that only adding and removing images needs. Raises `InvalidInputError` for an invalid name or
    uncommitted changes, `CheckpointError` for a folder that is not a collection.
    """
    if not re.fullmatch(r"[\w][\w.-]*/[\w][\w.-]*", space):
        raise InvalidInputError(
            f"'{space}' is not the name of a Space; write user/name, as in make deploy-space SPACE=user/name."
        )
    names = matching(tracked(root), SPACE)
    if changed := uncommitted(names, root):
        raise InvalidInputError(
            f"{len(changed)} files differ from the last commit, first '{changed[0]}'; commit or "
            "undo the changes, so that the Space matches a commit."
        )
    files = {name: root / name for name in names}
    variables = {}
    if collection is not None:
        if not (collection / CARD_NAME).is_file():
            raise CheckpointError(f"'{collection}' has no card.json; give the folder that 'index' made.")
        target = f"collections/{collection.resolve().name}"
        files |= {
            f"{target}/{path.relative_to(collection).as_posix()}": path
            for path in sorted(collection.rglob("*"))
            if path.is_file() and needed_to_attribute(path.relative_to(collection))
        }
        variables["ATTRIBUTION_COLLECTION"] = target
    return Plan(space, files, variables, f"Attribution Explorer at {revision(root)}")


def deploy(content: Plan, api: Any, private: bool = False) -> str:
    """Create the Space if it does not exist, and upload in one commit; returns its URL.

    api: a `huggingface_hub.HfApi`. Raises `MissingDependencyError` without a login or connection, `CheckpointError` if
    the upload fails.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    try:
        api.whoami()
    except Exception as error:  # the client raises many kinds of errors
        raise MissingDependencyError(
            f"the Hub cannot be reached or you are not logged in ({first_line(error)}); run "
            "'hf auth login', or set HF_TOKEN to a token with write access."
        ) from error
    try:
        url = api.create_repo(
            content.space, repo_type="space", space_sdk="gradio", private=private, exist_ok=True
        )
        existing = set(api.list_repo_files(content.space, repo_type="space"))
        obsolete = sorted(existing - set(content.files) - _HUB_FILES)
        with warnings.catch_warnings():  # the client expects Parquet files in data sets only
            warnings.filterwarnings("ignore", "It seems that you are about to commit a data file")
            api.create_commit(
                content.space,
                repo_type="space",
                commit_message=content.message,
                operations=[
                    *(CommitOperationAdd(name, path) for name, path in content.files.items()),
                    *(CommitOperationDelete(name) for name in obsolete),
                ],
            )
        for name, value in content.variables.items():
            api.add_space_variable(content.space, name, value)
    except Exception as error:
        raise CheckpointError(
            f"the upload failed ({first_line(error)}); check the name of the Space and that your "
            "token has write access, and try again."
        ) from error
    return str(url)


def main(
    space: Annotated[str, typer.Argument(help="user/name of the Space, which is created if necessary.")],
    collection: Annotated[
        Path | None, typer.Option(help="Collection to open instead of the pocket collection.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Create a new Space as private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be uploaded.")] = False,
) -> None:
    """Upload the app to a Hugging Face Space in one commit."""
    try:
        content = plan(space, collection)
        if dry_run:
            for name, path in content.files.items():
                typer.echo(f"{path.stat().st_size:>12,}  {name}")
        typer.echo(
            f"{space}: {len(content.files)} files, {content.size / 1e6:.1f} MB, '{content.message}'"
            + "".join(f", {name}={value}" for name, value in content.variables.items())
        )
        if not dry_run:
            from huggingface_hub import HfApi

            typer.echo(deploy(content, HfApi(), private))
    except AttributionError as error:
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    typer.run(main)
