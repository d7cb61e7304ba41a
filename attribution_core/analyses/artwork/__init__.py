"""An artist's work among the training images, and how attribution changes once a model learned from it."""
