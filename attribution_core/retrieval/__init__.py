"""The nearest training images, and what is known of all others: index, backends, bounds."""
