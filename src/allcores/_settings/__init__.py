"""Settings of the interpreter and of libraries, which travel with each job: what they are, and how they are made here.

A function may hang on what stands in no argument: decimal's precision, NumPy's error state, a recursion limit,
filters of warnings, pandas' options. A forked worker inherits them; a clean one, and one of a pool, is told.

One table (`snapshot.SETTINGS`) has a row for each: how to read it, how to make it, and what it is when nobody has
touched it. A row counts only where its module is loaded, so nothing is imported for it, on either side. The driver
takes a `snapshot` in the thread that hands items in, and tells a worker only when it is another one than it told last.
The worker (`adoption`) makes what differs; a setting of a library that it has not loaded waits, and is made at the end
of that library's import (`arrivals`), be it in the middle of an item.

To add a setting: a row in `interpreter` or `libraries`, and an example in the test that goes through the table. What
changes many results and costs little to read belongs there; what can be read only by changing it (a umask, the stack
size of threads) is in `Surroundings` (`_worker`), as are the folder and the environment.
"""
