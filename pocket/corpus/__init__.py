"""The training images of the pocket collection: fetching, rendering, removing near-duplicates, splitting."""
