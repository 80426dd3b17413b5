"""What multiprocessing lets only a process that is starting have, handed to workers with their initializer."""

from __future__ import annotations

import multiprocessing
import os

import pytest

import allcores
from allcores._codec.handover import close_all

pytestmark = [pytest.mark.once, pytest.mark.starts]

KEPT: dict[str, multiprocessing.connection.Connection] = {}

# Two workers at least are seen, as the second begins when the first cannot: it holds the barrier until both are there.
PROGRAM = """
import multiprocessing, os
import allcores
from allcores._codec.handover import close_all

def initialize(queue, simple, value, lock, barrier, pipe):
    global count, both
    queue.put(os.getpid())
    simple.put(os.getpid())
    count, both = value, barrier
    with lock:
        pipe.send_bytes(b"%d" % os.getpid())

def work(x):
    both.wait(30)
    with count.get_lock():
        count.value += 1
    return os.getpid()

if __name__ == "__main__":
    context = multiprocessing.get_context({start!r})
    queue, simple, value = context.Queue(), context.SimpleQueue(), context.Value("i", 0)
    (reading, writing), lock, barrier = context.Pipe(), context.Lock(), context.Barrier(2)
    with allcores.Pool(2, initialize, (queue, simple, value, lock, barrier, writing), context=context) as pool:
        if {start!r} != "fork":
            writing.close()  # what workers will get is theirs
        workers = set(pool.map(work, range(2), chunksize=1))
        assert len(workers) == 2
        assert {{queue.get(timeout=30) for _ in workers}} == workers
        assert {{simple.get() for _ in workers}} == workers
        assert {{int(reading.recv_bytes()) for _ in workers}} == workers
        pool.close()
        pool.join()
    assert value.value == 2
    reading.close(), writing.close()
"""


def test_an_initializer_gets_what_processes_share(start, run_python):
    run_python(PROGRAM.format(start=start), warnings="default")


MANY = """
import multiprocessing, allcores

def keep(*pipes):
    global kept
    kept = pipes

def tell(number):
    kept[number].send(number)

if __name__ == "__main__":
    pipes = [multiprocessing.Pipe(duplex=False) for _ in range(300)]
    with allcores.Executor(1, start="forkserver", initializer=keep, initargs=[write for _, write in pipes]) as executor:
        list(executor.map(tell, range(300)))
    assert [read.recv() for read, _ in pipes] == list(range(300))
"""


def test_descriptors_are_closed_once_though_it_is_asked_twice():
    read, write = os.pipe()
    descriptors = [read, write]
    close_all(descriptors)
    other = os.pipe()  # the same numbers again, and somebody else's
    try:
        close_all(descriptors)
        assert [os.fstat(end).st_nlink for end in other] == [1, 1]
    finally:
        close_all(list(other))


def test_there_may_be_more_than_one_message_can_bring(run_python):
    run_python(MANY)


def keep_pipe(pipe):
    KEPT["pipe"] = pipe


def test_descriptors_of_an_initializer_that_cannot_travel_are_closed():
    """The fixture of all tests sees to the rest."""
    reading, writing = multiprocessing.Pipe(duplex=False)
    with reading, writing, pytest.raises(allcores.UnpicklableError):
        allcores.Pool(1, keep_pipe, (writing, (x for x in ())), start="forkserver")


CONNECTIONS = """
import multiprocessing, socket, allcores

def answer(connection):
    connection.send(connection.recv() + 1)
    return connection

def answer_by_socket(connection):
    with connection:
        connection.sendall(connection.recv(100) + b"!")

if __name__ == "__main__":
    pipes = [multiprocessing.Pipe() for _ in range(3)]
    for number, (ours, _) in enumerate(pipes):
        ours.send(number)
    sockets = [socket.socketpair() for _ in range(3)]
    for number, (ours, _) in enumerate(sockets):
        ours.sendall(b"%d" % number)
    with allcores.Pool(2, start="forkserver") as pool:
        back = pool.imap(answer, [theirs for _, theirs in pipes], chunksize=2)
        for (ours, _), again in zip(pipes, back):
            again.send("mine again")
            assert [ours.recv(), ours.recv()] == [pipes.index((ours, _)) + 1, "mine again"]
        pool.map(answer_by_socket, [theirs for _, theirs in sockets])
    assert [ours.recv(100) for ours, _ in sockets] == [b"0!", b"1!", b"2!"]
"""


def test_items_and_results_may_be_connections(run_python):
    """A copy of one would be of another process's descriptor, and close it some time."""
    run_python(CONNECTIONS, warnings="default")


LATE = """
import multiprocessing, time, allcores

class Slow:
    def __reduce__(self):  # called in the queue's own thread
        time.sleep(0.2)
        return int, (1,)

def keep(queue):
    global kept
    kept = queue

def put(_):
    kept.put(Slow())

if __name__ == "__main__":
    context = multiprocessing.get_context({start!r})
    queue = context.Queue()
    with allcores.Pool(2, keep, (queue,), start={start!r}, recycle={recycle}) as pool:
        pool.map(put, range(4))
        pool.close()
        pool.join()
    assert [queue.get(timeout=20) for _ in range(4)] == [1] * 4
"""


UNREAD = """
import multiprocessing, allcores
from allcores._engines.processes import endings

endings.PROMPT_SECONDS = 0.5

def keep(queue):
    global kept
    kept = queue

def put(_):
    kept.put(bytes(1_000_000))

if __name__ == "__main__":
    context = multiprocessing.get_context({start!r})
    with allcores.Pool(2, keep, (context.Queue(),), start={start!r}, recycle=1) as pool:
        pool.map(put, range(6))
        pool.close()
        pool.join()
"""


FORKED = """
import concurrent.futures, functools, multiprocessing, threading
import allcores

context = multiprocessing.get_context("fork")
KINDS = (
    *(context.Lock, context.RLock, context.Semaphore, context.BoundedSemaphore, context.Event, context.Condition),
    *(context.Queue, context.JoinableQueue, context.SimpleQueue, lambda: context.Barrier(2)),
    *(lambda: context.Value("i", 0), lambda: context.Array("i", 2)),
)

def keep(*means):
    global kept
    kept = means

def count(x, count=None):
    with (count or kept[0]).get_lock():
        (count or kept[0]).value += x
    return x

def require_forked(made):
    assert made.start == "fork" and "can be had by forked workers alone" in made.start_reason, made

end = threading.Event()
thread = threading.Thread(target=end.wait)
thread.start()
try:
    for kind in KINDS:
        require_forked(allcores.map(abs, [1], initializer=keep, initargs=[{"deep": [kind()]}]).report.plan)
    value = context.Value("i", 0)
    for door in (allcores.Pool, allcores.Executor):
        with door(2, initializer=keep, initargs=(value,)) as made:
            require_forked(made._service.plan)
            assert list(made.map(count, range(5))) == list(range(5))
    for function in (lambda x: count(x, value), functools.partial(count, count=value)):
        results = allcores.map(function, range(5))
        require_forked(results.report.plan)
        assert results == list(range(5))
    keep(value)
    require_forked(allcores.map(count, range(5)).report.plan)
    assert value.value == 50
    assert allcores.map(abs, range(5)).report.plan.start == "forkserver"
finally:
    end.set()
"""


def test_what_only_forked_workers_can_have_makes_them_forked(run_python):
    run_python(FORKED, warnings="default")


HELPER = """
import multiprocessing

value = multiprocessing.get_context("fork").Value("i", 0)

def count(x):
    with value.get_lock():
        value.value += x
    return x
"""
IMPORTED = """
import threading
import allcores, helper

end = threading.Event()
thread = threading.Thread(target=end.wait)
thread.start()
try:
    for function in (helper.count, lambda x: helper.count(x)):
        results = allcores.map(function, range(5))
        assert results.report.plan.start == "fork" and results == list(range(5)), results.report.plan
    assert helper.value.value == 20
    with allcores.Pool(2) as pool:
        for hand_in in (pool.map, pool.imap):
            try:
                hand_in(helper.count, range(5))
            except allcores.UnpicklableError as error:
                assert "variable 'value', a Synchronized" in str(error) and "use start='fork'" in str(error), error
            else:
                raise AssertionError("it was not refused")
finally:
    end.set()
"""


def test_what_processes_share_in_a_module_of_the_users_is_shared(run_python, tmp_path):
    (tmp_path / "helper.py").write_text(HELPER)
    run_python(IMPORTED)


REFUSED = """
import multiprocessing
import allcores

def refused(begin, *arguments, **options):
    try:
        begin(*arguments, **options)
    except allcores.UnpicklableError as error:
        return str(error).rpartition("; ")[2]
    raise AssertionError("it was not refused")

if __name__ == "__main__":
    forked, other = (multiprocessing.get_context(method) for method in ("fork", "forkserver"))
    for thing in (forked.Lock(), forked.Value("i", 0), forked.SimpleQueue()):
        for start in ("forkserver", "spawn"):
            for advice in (
                refused(allcores.Pool, 1, print, (thing,), start=start),
                refused(allcores.Executor, 1, initializer=print, initargs=(thing,), start=start),
                refused(allcores.map, lambda x: thing, [1], start=start),
            ):
                assert advice == "make it with multiprocessing.get_context('forkserver'), or use start='fork'", advice
    for thing in (forked.Lock(), other.Lock()):
        with allcores.Pool(1, start="forkserver") as pool:
            for function in (lambda x, thing=thing: thing, lambda x: thing):
                assert refused(pool.map, function, [1]) == "give it to the initializer, as one of its initargs"
"""


def test_what_workers_that_start_clean_cannot_have_is_refused_with_what_to_do(run_python):
    run_python(REFUSED)


BARS = """
import concurrent.futures, os
import allcores

concurrent.futures.ProcessPoolExecutor = allcores.Executor
from tqdm.contrib.concurrent import process_map

def work(x):
    return x, os.getpid()

results = process_map(work, range(20), max_workers=2, chunksize=1)
assert [x for x, _ in results] == list(range(20))
assert os.getpid() not in {pid for _, pid in results}
"""


def test_tqdm_has_a_lock_for_its_bars_that_its_processes_share(run_python):
    run_python(BARS)


def test_nobody_waits_for_a_queue_that_is_not_read(start, run_python):
    run_python(UNREAD.format(start=start), warnings="default")


@pytest.mark.parametrize("recycle", [None, 1])
def test_what_items_put_into_a_queue_comes_out(start, recycle, run_python):
    """A queue of multiprocessing's sends in a thread of its own, later."""
    run_python(LATE.format(start=start, recycle=recycle), warnings="default")
