"""Workers that are processes of this machine, wherever they come from.

A forked worker has the function and the dataset from birth, and only ranges travel to it. A clean one, or any worker
of a stream, gets what it needs over its channel: the job once, then each batch's items. Where processes come from is
for a source of them to know, `forked` or `clean`; what both have in common is said in `process`. Clean ones outlive a
run: `warm_set` keeps them, and `fork_server` is where they are started.

`engine` carries out commands and waits for news, over parts that know nothing of each other's affairs:

- A `worker` is what the engine knows of one process: what it holds and has, and how it is written to.
- `supplies` see that a worker has what a batch needs; where items are handed in, `jobs` travel so, too, and what is
  large in those goes in `bundles`.
- A `listener` makes arrivals of what workers say. `deaths` tells what those leave that say nothing any more.
- `endings` has those that were killed or told to leave, until they are seen to end.
- `measures` tells how much memory workers use; the `watchdog` finds who breaks a limit.
- `connections` is what a wait waits for.

Begin with `process`, then `worker`, then `engine`.
"""
