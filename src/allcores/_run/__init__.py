"""Runs: the only loop, how one begins and what becomes of its results, and the entry points that turn it.

The driver waits for an engine, hands events to the scheduler and carries out its commands. Beside it, and only here,
ranges meet objects: `intake` pulls items, `failures` says what went wrong with one, `tries` whether that is worth
another, `delivery` brings what came of it to the sink. `map` and `lazy` turn the loop in the caller's thread,
`service` in one of its own, for those who hand in items by and by. What an engine does, or how bytes travel, is not
known here.

It stands on all rooms before it. Only doors import it.

Begin with `driver`, then `start` and `map`. `inbox` is the input of a `service`, whose loop several threads share.
"""
