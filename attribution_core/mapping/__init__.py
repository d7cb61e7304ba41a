"""Mappers from features to a space shared by training and generated images: a pair of heads, and how it is fitted."""
