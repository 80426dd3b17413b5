"""Workers that are places in a cluster's processes, which come and go: Dask's, and Ray's.

Each worker here is a claim to one thread of one process: its batches go there and nowhere else, and the cluster is
never to run one again by itself. What such a process is asked to call is in `_worker.guest`, as with executors.

A cluster tells when a process has gone, and not at which item. Whatever was on its way to it is suspect, and runs again
on a process that has nothing else to do meanwhile, so that the next death blames exactly one item.

Begin with `engine`, which knows a `cluster` by what all have in common; `dask` and `ray` speak with theirs.
"""
