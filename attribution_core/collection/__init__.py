"""A collection, the folder that holds everything about one training set: layout, opening, building, updates."""
