"""Training images with captions and credits, near-duplicate groups, and placeholders for missing pictures."""
