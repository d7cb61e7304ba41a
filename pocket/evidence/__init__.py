"""What the pocket collection's methods reach, measured."""
