"""`multiprocessing.Pool`: begin with `pool`."""
