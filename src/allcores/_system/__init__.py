"""What touches the operating system and the interpreter: processes, descriptors, memory, signals, locks, threads.

One file per concern, each with a plain interface over what differs between systems, or between Pythons. Where a system
lacks something, the file has another way or says that there is none; nobody else asks what `sys.platform` is. It knows
nothing of items, workers' messages or the user's objects.

It stands on `_core` alone. Whatever waits, counts cores, kills or is woken imports it.

Begin with `machine`, which gathers the facts that a plan is made from. `lifeline` is why no process outlives its
driver, `interrupts` how Ctrl-C comes only where it tears nothing, `leadership` how several threads turn one loop.
"""
