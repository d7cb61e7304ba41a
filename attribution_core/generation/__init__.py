"""Text to image: the table of generators, loading within memory, recipes, previews."""
