"""Image to features: the protocol of an encoder, the table of those that ship, and their loaders."""
