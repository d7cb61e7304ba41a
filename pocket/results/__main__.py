"""Runs as `python -m pocket.results`."""

from pocket.results.page import main

if __name__ == "__main__":
    main()
