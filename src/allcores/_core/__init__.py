"""What is decided, and the words for it: errors, options, the plan, messages, the scheduler, the report.

Everything here is pure: values, and functions from values to values. No clock (time is an argument), no system call, no
thread, no chance; and of the user's objects nothing is called. So every history of a run can be written down, replayed
and simulated, which the tests do by the thousand. `hints` and `records` stand in for `typing` and `dataclasses`, and
say why.

It stands on nothing else of the package, and every other room may import it.

Begin with `messages`: the events that may happen and the commands that follow from them. The scheduler, `scheduler/`,
takes the one and gives the other. `options` is what callers may say, `plan` how a run will be done, `report` what it
cost.
"""
