"""The user's objects seen from outside: what is asked of them, what comes of them, and what is shown of them.

Whatever is asked of an object may run the user's code, which may raise anything, so it is asked here and nowhere else.
Here is also what a run gives back: the `Failure` of an item, `Results`, the exception that bears what had finished; and
how an exception looks where it comes out. Nothing here is pickled, and nothing decides.

It stands on `_core` and `_system`. Whatever holds the user's objects in its hands imports it.

Begin with `outcomes`, then `asking`. `tracebacks` and `entry` see to what a person reads when something fails.
"""
