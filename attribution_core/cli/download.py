"""The command `download`: released files by name, with their licence shown and agreed to."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from attribution_core.release.catalogue import Release


def download(
    name: Annotated[str, typer.Argument(help="What to fetch; without it, all that there is is listed.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder, in place of the usual one; not of encoders.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Agree to the licence without being asked.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON alone on stdout.")] = False,
) -> None:
    """Fetch released files by NAME: what the paper released, and encoders' weights; run it again to go on."""
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
            f"'{name}' is an encoder's weights, which are looked for in '{release.folder}' alone; "
            "leave --out away."
        )
    if not is_here(release, out):
        _agree(release, out or release.folder, yes)
    with tqdm(
        unit="B", unit_scale=True, unit_divisor=1024, disable=not sys.stderr.isatty(), delay=0.1
    ) as bar:
        shown = [""]

        def show(file: str, here: int, total: int | None) -> None:
            if file != shown[0] or here < bar.n:
                shown[0] = file
                bar.set_description(file, refresh=False)
                bar.reset(total)
                bar.n = bar.initial = (
                    here  # what was there before counts neither for the rate nor for the time left
                )
            bar.total = total
            bar.update(here - bar.n)

        done = fetch_all(name, out, show)
    typer.echo(
        f"{done.folder}: {len(done.files)} files of '{name}'"
        + (", all there already" if done.already else "")
    )


def _agree(release: Release, folder: Path, yes: bool) -> None:
    """Show what is about to be fetched, and ask. Raises `InvalidInputError` where nobody can answer or says no."""
    from attribution_core.errors import InvalidInputError

    for line in (
        f"{release.name}: {release.what}",
        f"from {release.source}",
        f"size: {release.about}",
        f"licence: {release.licence}",
        f"goes to {folder}",
    ):
        typer.echo(line, err=True)
    if yes:
        return
    if not _somebody_there():
        raise InvalidInputError("nobody is there to agree to the licence; say --yes if you agree.")
    if not typer.confirm("Do you agree to the licence?", err=True):
        raise InvalidInputError("the licence was not agreed to; nothing was fetched.")


def _somebody_there() -> bool:
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
