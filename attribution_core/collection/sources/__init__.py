"""Where the images of a new collection come from: folders, archives, tables, streams."""
