"""Many images at once: one row an image, sums by maker, and the files to keep them in."""
