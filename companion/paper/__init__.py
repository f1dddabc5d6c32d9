"""Facts of the paper, as data."""
