"""The pocket generator: training, evaluation, and comparison of recipes at equal time."""
