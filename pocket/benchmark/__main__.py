"""`python -m pocket.benchmark`."""

import typer

from pocket.benchmark.make import main

typer.run(main)
