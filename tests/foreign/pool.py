"""The tests of pools of processes, as classes that workers find by name, and those of them that are left out."""

from __future__ import annotations

import unittest

from test import _test_multiprocessing as theirs

LEFT_OUT = {
    "TestPool.test_make_pool": "counts the workers in the private `_pool`",
    "TestPoolWorkerErrors.test_unpickleable_result": "its result, a lambda, can be pickled here",
    "TestPoolWorkerLifetime.test_pool_worker_lifetime": "calls the private `_repopulate_pool` and reads `_pool`",
}


class TestPool(theirs._TestPool, theirs.ProcessesMixin, unittest.TestCase):
    pass


class TestPoolWorkerErrors(theirs._TestPoolWorkerErrors, theirs.ProcessesMixin, unittest.TestCase):
    pass


class TestPoolWorkerLifetime(theirs._TestPoolWorkerLifetime, theirs.ProcessesMixin, unittest.TestCase):
    pass
