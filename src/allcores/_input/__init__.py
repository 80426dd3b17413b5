"""The input: datasets, and what must hold of items so that they may be taken from them and sent elsewhere.

A `Dataset` gives items by their indices; columns can be sliced anywhere, a stream only the driver pulls. An object that
its iterator yields again, or changes later, is copied as the loop would have seen it (`snapshots`, `ownership`). What
several processes must not use at a time is found by `sharing/`. No item is run here, and no worker is known.

It stands on the codec. Workers and engines import it to ask for items, runs to make one.

Begin with `dataset`; `trickle` is an input that comes by and by.
"""
