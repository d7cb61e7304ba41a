"""The command `download`: fetch released files by name after the user has accepted their licence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from attribution_core.release.catalogue import Release


def download(
    name: Annotated[str, typer.Argument(help="What to fetch; without a name, list everything.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder to use instead of the default; not for encoders.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Accept the licence without a prompt.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON, and only that.")] = False,
) -> None:
    """Fetch released files by NAME: the paper's files and encoder weights; run again to resume."""
    from tqdm import tqdm

    from attribution_core.errors import InvalidInputError
    from attribution_core.release.catalogue import download as fetch_all
    from attribution_core.release.catalogue import is_here, released

    if not name:
        _list(out, as_json)
        return
    release = released(name)
    if out is not None and release.encoder:
        raise InvalidInputError(
            f"'{name}' is an encoder's weights, which are only loaded from '{release.folder}'; omit --out."
        )
    if not is_here(release, out):
        _accept_licence(release, out or release.folder, yes)
    with tqdm(
        unit="B", unit_scale=True, unit_divisor=1024, disable=not sys.stderr.isatty(), delay=0.1
    ) as bar:
        current = [""]

        def show(file: str, here: int, total: int | None) -> None:
            if file != current[0] or here < bar.n:
                current[0] = file
                bar.set_description(file, refresh=False)
                bar.reset(total)
                bar.n = bar.initial = here  # bytes of an earlier run count for neither rate nor time left
            bar.total = total
            bar.update(here - bar.n)

        done = fetch_all(name, out, show)
    typer.echo(
        f"{done.folder}: {len(done.files)} files of '{name}'"
        + (", all already present" if done.already else "")
    )


def _accept_licence(release: Release, folder: Path, yes: bool) -> None:
    """Show what will be fetched and ask for consent. Raises `InvalidInputError` without consent."""
    from attribution_core.errors import InvalidInputError

    for line in (
        f"{release.name}: {release.what}",
        f"from {release.source}",
        f"size: {release.about}",
        f"licence: {release.licence}",
        f"folder: {folder}",
    ):
        typer.echo(line, err=True)
    if yes:
        return
    if not _is_terminal():
        raise InvalidInputError("not a terminal: pass --yes to accept the licence.")
    if not typer.confirm("Do you accept the licence?", err=True):
        raise InvalidInputError("the licence was not accepted, so nothing was fetched.")


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _list(out: Path | None, as_json: bool) -> None:
    from attribution_core.release.catalogue import RELEASES, is_here

    rows = [
        {
            "name": r.name,
            "what": r.what,
            "size": r.about,
            "licence": r.licence,
            "source": r.source,
            "folder": str(out or r.folder),
            "here": is_here(r, out),
        }
        for r in RELEASES.values()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    typer.echo(f"{'name':24s}{'here':6s}what; size; licence")
    for row in rows:
        typer.echo(
            f"{row['name']:24s}{'yes' if row['here'] else 'no':6s}{row['what']}; {row['size']}; "
            f"{row['licence']}"
        )
