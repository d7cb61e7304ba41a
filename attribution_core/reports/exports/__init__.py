"""A collection described for others: Croissant, a data card, and a draft of a training summary."""
