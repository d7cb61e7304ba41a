"""Benchmarks of speed and quality against peers; each prints JSON lines with the machine and date."""
