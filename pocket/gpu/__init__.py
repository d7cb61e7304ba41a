"""Training on a GPU machine without a network, for about ten minutes."""
