"""Copies of training images: verdicts, and where a copy and its original agree."""
