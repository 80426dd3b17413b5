"""Functions, classes and their modules: what they lead to, whether a worker has that, and how it is made there.

A function reads globals, a class has bases, and a module of the user's may have been edited since it was imported. Here
it is found out what belongs to a thing (`globals`), what it consists of (`contents`), whether the worker's is the same
(`comparison`), how it is made again there (`definitions`) or brought up to date in its place (`parts`); and which
classes travel by name and which by value (`classes`, `unimportable`, `user_modules`).

It is a part of the codec; `pickling` calls it. It pickles nothing itself.

Begin with `globals` and its `Known`, then `contents`.
"""
