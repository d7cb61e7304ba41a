"""Puts the app on a Hugging Face Space: `make deploy-space SPACE=user/name`, or `python -m deploy.space --help`.

One commit holds exactly the tracked files that a Space needs; what an earlier one left there and is no longer needed
is removed by the same commit.
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
from attribution_core.errors import (
    AttributionError,
    CheckpointError,
    InvalidInputError,
    MissingDependencyError,
)
from deploy.files import ROOT, SPACE, chosen, revision, tracked, uncommitted

_KEPT = {".gitattributes"}  # the Hub's own: which files it stores apart


@dataclass(frozen=True)
class Plan:
    """What goes to a Space. files: path there -> path here. variables: settings of the app, as a Space keeps them."""

    space: str
    files: dict[str, Path]
    variables: dict[str, str]
    message: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.files.values())


def plan(space: str, collection: Path | None = None, root: Path = ROOT) -> Plan:
    """List what a Space needs.

    space: "user/name". collection: a collection's folder that the Space opens in place of the pocket one; its files
    go along, but for what only adding and removing needs. Raises `InvalidInputError` for a name that is none, or
    tracked files that differ from the last commit, `CheckpointError` for what is no collection.
    """
    if not re.fullmatch(r"[\w][\w.-]*/[\w][\w.-]*", space):
        raise InvalidInputError(
            f"'{space}' is not the name of a Space; write user/name, as in make deploy-space SPACE=user/name."
        )
    names = chosen(tracked(root), SPACE)
    if changed := uncommitted(names, root):
        raise InvalidInputError(
            f"{len(changed)} files differ from the last commit, first '{changed[0]}'; commit or "
            "undo the changes, so that the Space can be told from its commit."
        )
    files = {name: root / name for name in names}
    variables = {}
    if collection is not None:
        if not (collection / CARD_NAME).is_file():
            raise CheckpointError(f"'{collection}' has no card.json; give the folder that 'index' made.")
        place = f"collections/{collection.resolve().name}"
        files |= {
            f"{place}/{path.relative_to(collection).as_posix()}": path
            for path in sorted(collection.rglob("*"))
            if path.is_file() and needed_to_attribute(path.relative_to(collection))
        }
        variables["ATTRIBUTION_COLLECTION"] = place
    return Plan(space, files, variables, f"Attribution Explorer at {revision(root)}")


def deploy(planned: Plan, api: Any, private: bool = False) -> str:
    """Make the Space where it is missing, and upload in one commit; returns its address.

    api: a `huggingface_hub.HfApi`. Raises `MissingDependencyError` where nobody is logged in or there is no
    connection, `CheckpointError` where the upload fails.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    try:
        api.whoami()
    except Exception as error:  # the client's errors are of many kinds
        raise MissingDependencyError(
            f"the Hub was not reached or does not know you ({_first_line(error)}); run "
            "'hf auth login', or set HF_TOKEN to a token that may write."
        ) from error
    try:
        made = api.create_repo(
            planned.space, repo_type="space", space_sdk="gradio", private=private, exist_ok=True
        )
        there = set(api.list_repo_files(planned.space, repo_type="space"))
        gone = sorted(there - set(planned.files) - _KEPT)
        with warnings.catch_warnings():  # the client thinks that Parquet belongs into a data set
            warnings.filterwarnings("ignore", "It seems that you are about to commit a data file")
            api.create_commit(
                planned.space,
                repo_type="space",
                commit_message=planned.message,
                operations=[
                    *(CommitOperationAdd(name, path) for name, path in planned.files.items()),
                    *(CommitOperationDelete(name) for name in gone),
                ],
            )
        for name, value in planned.variables.items():
            api.add_space_variable(planned.space, name, value)
    except Exception as error:
        raise CheckpointError(
            f"the upload failed ({_first_line(error)}); check the name of the Space and that your "
            "token may write there, and try again."
        ) from error
    return str(made)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


def main(
    space: Annotated[str, typer.Argument(help="user/name of the Space; it is made where it is missing.")],
    collection: Annotated[
        Path | None, typer.Option(help="Collection to open in place of the pocket one.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new Space private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be uploaded.")] = False,
) -> None:
    """Upload the app to a Hugging Face Space in one commit."""
    try:
        planned = plan(space, collection)
        if dry_run:
            for name, path in planned.files.items():
                typer.echo(f"{path.stat().st_size:>12,}  {name}")
        typer.echo(
            f"{space}: {len(planned.files)} files, {planned.size / 1e6:.1f} MB, '{planned.message}'"
            + "".join(f", {name}={value}" for name, value in planned.variables.items())
        )
        if not dry_run:
            from huggingface_hub import HfApi

            typer.echo(deploy(planned, HfApi(), private))
    except AttributionError as error:
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    typer.run(main)
