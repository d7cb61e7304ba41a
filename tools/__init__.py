"""Tools shared by tests, benchmarks and recipes: start the app and take screenshots of it."""
