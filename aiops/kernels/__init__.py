"""The ground floor: numba and numpy, no I/O, no nouns."""
