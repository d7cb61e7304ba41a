"""What was measured of a collection and lies beside it."""
