"""The standard library's own tests of its pool and its executor, run against those that take their place.

They change the state of their whole process, so each run of a suite is a program of its own: see `foreign.run`. A run
puts the door in its place first and imports the tests then, for they look it up as they are imported.
"""
