"""`python -m pocket.generator`."""

from pocket.generator.commands import app

app()
