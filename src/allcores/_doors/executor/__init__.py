"""`concurrent.futures.ProcessPoolExecutor`, and more."""
