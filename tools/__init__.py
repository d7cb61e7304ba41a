"""What the tests, benchmarks and recipes share: start the app, take its pictures."""
