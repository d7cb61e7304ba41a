"""`python -m attribution_core`: the command line."""

from attribution_core.cli.main import main

if __name__ == "__main__":
    main()
