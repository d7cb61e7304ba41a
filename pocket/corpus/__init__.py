"""The training images of the pocket collection: fetched, drawn, without near-duplicates, split."""
