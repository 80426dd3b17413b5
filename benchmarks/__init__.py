"""Measures allcores beside its peers, each used as its documentation tells: see `__main__`."""
