"""Doors: the faces of other libraries, each over the same run.

`Pool` is multiprocessing's, `Executor` concurrent.futures'; there are asyncio's, joblib's, pandas' and the terminal's,
and what makes frozen programs work. A door translates names, types and errors, and has no way of its own to run
anything: without doors, `map` and all beneath it work as before.

It stands on everything, and nothing imports it but the package's own front.

Begin with `executor/`, the smallest whole one.
"""
