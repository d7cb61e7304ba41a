"""Readers of the measurements stored with a collection."""
