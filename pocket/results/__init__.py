"""Writes the pocket collection's figures into docs/results.md from the cards: `python -m pocket.results`."""
