"""What runs items, in whatever place: the loop of a worker process, the job, and what is current in an item.

`run_batch` in `job` is the same for every engine: serial, threads and processes; `strides` has its hot loops, and
`single` runs an item that is alone. `loop` is what a process does around it: receive, run, report. How a process
becomes a worker (`birth`) and ends (`exit`), what it is to multiprocessing, and who tells what is finished while an
item runs long are files of their own. Nothing here knows the scheduler or decides who runs what; it must be light to
import, as every fresh worker imports it.

It stands on transport, codec, settings and input. Engines import it: they start it, and are its other end.

Begin with `job`, then `loop`. `fork_server` is the small process that clean workers are started from.
"""
