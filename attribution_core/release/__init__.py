"""Files of the paper and of other authors: what may be fetched, and how it becomes a collection."""
