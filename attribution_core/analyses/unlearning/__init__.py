"""Attribution by unlearning: which training images a generator forgets together with an image."""
