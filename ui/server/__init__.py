"""Checks between visitors and the tabs: hosts and paths, uploads, arguments of calls, and turns in the queue."""
