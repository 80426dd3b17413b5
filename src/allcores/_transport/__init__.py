"""Bytes between processes: frames over a channel, large ones in shared memory, and the mark board.

A channel moves a header and frames, and never asks what they mean; its driver's end never blocks. Large frames go in
anonymous segments that their arena fills again. On the mark board each worker says in which item it is and leaves what
it has finished, for the case that it dies. Errors of the system are translated here. No pickle, and no object of the
user's, is looked into.

It stands on `_core`, `_system` and `_objects`. Engines and workers, the two ends of every channel, import it; the codec
knows its frames by type.

Begin with `wire`, the header; then `channel`, `segment`, `arena`; and `board` by itself.
"""
