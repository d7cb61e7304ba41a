"""Analyses beyond the ranked list of training images."""
