"""Measurements of the pocket collection's methods."""
