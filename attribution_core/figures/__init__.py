"""Plotly figures of results, and nothing else."""
