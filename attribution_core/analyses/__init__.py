"""Questions beyond the list of training images."""
