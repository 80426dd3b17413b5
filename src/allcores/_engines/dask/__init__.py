"""Workers that are threads of a Dask cluster's processes, which come and go.

Each worker here is a claim to one thread of one process: its batches go there and nowhere else, and Dask is never to
run one again by itself. What such a process is asked to call is in `_worker.guest`, as with executors.

Dask tells when a process has gone, and not at which item. Whatever was on its way to it is suspect, and runs again on a
process that has nothing else to do meanwhile, so that the next death blames exactly one item.

Begin with `engine`; `cluster` speaks with Dask.
"""
