"""`concurrent.futures.Executor`: begin with `executor`."""
