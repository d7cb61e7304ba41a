"""Similarities to calibrated influences: shares, and the temperature that they are taken at."""
