"""Training images with captions and credits; near duplicates, and pictures for missing ones."""
