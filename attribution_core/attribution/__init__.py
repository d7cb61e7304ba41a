"""The answer: encode, map, search, score, credit; and what is read off one answer or several."""
