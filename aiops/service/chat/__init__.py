"""Chat that comes in: who sent it is proved before anything is read out of it."""
