"""`python -m pocket.corpus`."""

from pocket.corpus.make import app

app()
