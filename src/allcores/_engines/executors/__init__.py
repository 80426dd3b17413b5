"""Workers that are somebody else's: any executor of `concurrent.futures`, which need know nothing of allcores.

What its contract gives is a call and what comes of it. So a worker here is no place but a claim to one: it has a few
batches with the executor, which runs them wherever there is room. If that is in threads of this process, nothing
travels (`here`); else the job does, and what it leads to, as bytes (`lessons`), to be read by `_worker.guest`.

When a worker process of an executor dies, most executors fail as a whole, and nobody knows at which item. If the caller
gave a function that makes executors, a new one is made, and whatever was on its way is suspect: it runs again with
nothing beside it (`quarantine`), so that the next death blames exactly one item.

Begin with `engine`; `host` has the executor.
"""
