"""Where an artist's work stands among the training images, and what a lesson on it changes."""
