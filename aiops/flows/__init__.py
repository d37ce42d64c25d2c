"""The side rooms: what happens around the corridor, on ports and nouns alone."""
