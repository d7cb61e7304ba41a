"""Bringing the app elsewhere: which files it needs (`files`), and up to a Hugging Face Space (`space`)."""
