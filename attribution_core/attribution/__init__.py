"""Attribution: encode, map, search, score, credit; and sums and comparisons of the results."""
