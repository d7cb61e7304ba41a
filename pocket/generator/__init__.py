"""The pocket generator: trained, reported on, and compared at equal time."""
