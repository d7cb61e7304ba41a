"""Encoding on several machines by Ray."""
