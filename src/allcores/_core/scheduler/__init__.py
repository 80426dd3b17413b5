"""The scheduler: who runs which items next. Events in, commands out, nothing else.

It is a state machine over ids and ranges. It never sees a user's object, never looks at a clock (`now` is an argument)
and never touches the system, so that any history can be replayed, tested and simulated.

The life of an item, as the scheduler sees it::

    unknown -> available -> sent -> settled       (finished or failed: exactly once)
                   ^          |
                   +----------+                   returned: its worker died, refused it, or gave it back

One class has the door, `Scheduler.handle`; it says what an event means. What it means for comes in parts, each of which
knows one thing: the `backlog`, which items are yet to be sent; `horizon`, how far the run has come and may go; `tries`,
which items had some and have more; the `roster`, which workers there are and who takes the next batch; `idleness`, when
to take back what waits behind others; `pace`, how large batches are, and how many of them a worker holds; `credit`, how
long these should last. Two bring these together: the `ledger`, when items come back, and the `dispatcher`, after every
event. No part knows the door.

Nothing here grows with the number of items: the cost is per batch, and the memory per worker.

Begin with `scheduler`, whose table says which event leads where, then `dispatcher`.
"""
