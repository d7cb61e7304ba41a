"""Deployment: which files the app needs (`files`), and the upload to a Hugging Face Space (`space`)."""
