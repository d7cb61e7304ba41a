"""What every room uses and what knows nothing of attribution: arrays, files, cards, images, devices."""
