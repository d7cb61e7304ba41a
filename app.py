"""Attribution Explorer: `python app.py [--collection DIR]... [--port N] [--mcp]`; settings: the environment."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from attribution_core.errors import AttributionError
from attribution_core.settings import Settings


def main(
    collection: Annotated[
        list[Path] | None,
        typer.Option(
            help="Collection folder; default: the pocket collection. Repeat to add collections to compare."
        ),
    ] = None,
    generator: Annotated[
        str | None,
        typer.Option(
            help="Generator to use instead of the collection's own: a name (see the command "
            "'generators'), a folder or a hub name."
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 for any free one.")] = None,
    mcp: Annotated[bool | None, typer.Option("--mcp", help="Also serve the API as MCP tools.")] = None,
) -> None:
    """Open a collection and serve the page."""
    from ui.services.folder import empty, private_folder

    signal.signal(signal.SIGTERM, _end)
    try:
        private_folder()  # before importing Gradio, which creates folders there
    except AttributionError as error:
        _fail(str(error))
    from ui.services.app import Services

    first, others = (collection[0], tuple(collection[1:])) if collection else (None, ())
    given = {
        "collection": first,
        "compare_with": others or None,
        "port": port,
        "generator": generator,
        "mcp": mcp,
    }
    try:
        settings = Settings().model_copy(
            update={name: value for name, value in given.items() if value is not None}
        )
        services = Services.open(settings)
    except (AttributionError, ValueError) as error:  # pydantic's errors about settings are ValueErrors
        _fail(str(error))
    from ui.page import build, launch  # Gradio takes seconds to import, which a mistake need not wait for

    if services.generator is not None and services.generator.licence_notice:
        typer.echo(services.generator.licence_notice, err=True)
    services.warm_up()
    try:
        page = build(services)
    except AttributionError as error:
        _fail(str(error))
    try:
        launch(page, services)
    except AttributionError as error:
        _fail(str(error))
    except OSError as error:
        if error.filename is not None or error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT):
            _fail(
                f"'{error.filename or private_folder()}' cannot be written ({error.strerror}); see GRADIO_TEMP_DIR."
            )
        # Gradio's own words name a setting that this app does not read
        _fail(
            f"cannot listen on port {settings.port} of {settings.host}: it is taken, or not an address of this "
            "machine; name another with --port (0 for any free one) or ATTRIBUTION_HOST."
        )
    finally:
        page.close(verbose=False)
        empty(private_folder())


def _end(number: int, frame: object) -> NoReturn:
    """Exit normally, so that visitors' uploads are deleted."""
    sys.exit(128 + number)


def _fail(error: str) -> NoReturn:
    typer.echo(f"error: {' '.join(error.split())}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    typer.run(main)
