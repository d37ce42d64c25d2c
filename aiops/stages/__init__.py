"""The stages of the corridor, in order: interpret, scope, observe, detect, link, rank, prescribe, explain."""
