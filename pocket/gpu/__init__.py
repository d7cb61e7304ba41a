"""Training on a bare GPU machine, for ten minutes and without a network."""
