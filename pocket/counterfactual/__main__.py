"""`python -m pocket.counterfactual`."""

from pocket.counterfactual.commands import app

if __name__ == "__main__":
    app()
