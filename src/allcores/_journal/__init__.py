"""The file by which a run resumes: who an item is by its content, and what came of it.

The recorder gives each item a digest, finds what the file has, and writes what finishes; `Journal` reads such a file by
itself. Nobody else knows that it is SQLite. It knows neither the scheduler nor engines: a run asks it, and tells it.

It stands on the codec and the system. Runs import it, if they are to resume.

Begin with `recorder`, then `file`; `digest/` says when two items are the same.
"""
