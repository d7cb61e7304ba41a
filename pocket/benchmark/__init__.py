"""The pocket benchmark: images whose influence is known by construction."""
