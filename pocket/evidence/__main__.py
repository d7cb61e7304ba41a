"""`python -m pocket.evidence`."""

import typer

from pocket.evidence.methods import main

typer.run(main)
