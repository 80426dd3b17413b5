"""amap, aimap, aimap_unordered: one line on all cores, while the event loop goes on.

The run's loop is in a thread of its own. It and the event loop share two things: the sink, whose queue one side fills
and the other empties, and an event that says that it is worth looking. Whatever the event loop has to say, it tells the
run as an event like any other.

Begin with `amap`, then `errand`.
"""
