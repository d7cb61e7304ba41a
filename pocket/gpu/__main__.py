"""`python -m pocket.gpu`."""

from pocket.gpu.commands import app

app()
