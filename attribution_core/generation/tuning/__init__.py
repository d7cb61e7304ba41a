"""A generator fine-tuned on a few images, and the steps that views of the training show."""
