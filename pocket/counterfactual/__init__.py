"""What changes when training images are left out: small generators trained on parts of a fixed set of images."""
