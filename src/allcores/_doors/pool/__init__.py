"""`multiprocessing.Pool`, and more."""
