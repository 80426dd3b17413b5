"""What provides workers, one file per place, behind one small protocol.

An engine carries out commands and tells events: it starts workers, sends them batches, hears them, and ends them. It
decides nothing: which items run where, what a death means for them and when a run is over is the scheduler's business.

It stands on everything that workers stand on, and on the workers. Only runs import it, and speak to engines by the
protocol `Engine`.

Begin with `engine`, the protocol, then `serial`, the shortest, and `threads`. `processes/` matters most; `holdings` is
what it has in common with threads. `launch` goes from a plan to the engine that it asks for.
"""
