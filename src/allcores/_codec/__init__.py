"""Objects to frames and back: values, exceptions, functions and classes, and what these lead to.

What arrives is what was sent, or is refused by name: pickling with large buffers out of band, packing of many small
values, exceptions taken apart, what multiprocessing lets only a starting process have. How functions and classes travel
fills a room of its own, `definitions/`. Nothing here sends, and nothing runs an item.

It stands on the rooms before it, and of `_transport` uses the types of frames alone. Input, workers, engines and the
journal import it.

Begin with `codec`, whose functions are what others call; then `pickling`, `packing`, `exceptions`. What cannot be
pickled in something large, `captures` finds.
"""
