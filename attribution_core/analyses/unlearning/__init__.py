"""Which training images a generator must unlearn to forget an image."""
