"""Results in plain English: the same sentences in the app, the command line, reports and JSON."""
