"""The recipes that made what ships in `checkpoints/`; each runs as `python -m pocket.NAME`."""
