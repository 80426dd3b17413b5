"""At the interpreter's end, daemon threads stop without a word, and all others get what they ask for."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

pytestmark = [pytest.mark.once, pytest.mark.starts]

DAEMONS = """
import asyncio, sys, threading, time, warnings
import allcores

warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)  # asked for, from threads
start, *ways = {arguments!r}

def work(x):
    if x >= 4:
        time.sleep(1000)
    return x

def results_of_map(hear):
    allcores.map(work, range(50), workers=2, batch=1, start=start, progress=lambda *_: hear())

def results_of_imap(hear):
    for _ in allcores.imap(work, range(50), workers=2, batch=1, start=start):
        hear()

def results_of_pool(hear):
    with allcores.Pool(2, start=start) as pool:
        for _ in pool.imap(work, range(50)):
            hear()

def results_of_call(hear):
    with allcores.Pool(2, start=start) as pool:
        hear(pool.apply(work, (1,)))
        pool.apply(work, (50,))

def results_of_aimap(hear):
    async def iterate():
        async for _ in allcores.aimap(work, range(50), workers=2, batch=1, start=start):
            hear()
    asyncio.run(iterate())

def live(way, has_results):
    try:
        globals()["results_of_" + way](lambda *_: has_results.set())
    finally:
        print("the thread has come to its end", file=sys.stderr)

for way in ways:
    has_results = threading.Event()
    threading.Thread(target=live, args=(way, has_results), daemon=True).start()
    has_results.wait()
print("the main thread ends")
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("forkserver", "map", "imap", "pool", "call", "aimap"),
        ("spawn", "map", "imap", "pool", "call", "aimap"),
        ("fork", "map"),
        ("fork", "imap"),
        ("fork", "pool"),
        ("fork", "aimap"),
    ],
)
def test_daemon_threads_stop_where_they_are(arguments: tuple[str, ...], run_python: Any):
    done = run_python(DAEMONS.format(arguments=arguments))  # which waits until nobody has the program's pipes any more
    assert (done.stdout, done.stderr) == ("the main thread ends\n", "")


@pytest.mark.parametrize("start", ["auto", "forkserver", "spawn"])  # Python 3.12 would not fork at its end
def test_all_others_get_what_they_ask_for(start: str, run_python: Any):
    program = f"""
        import atexit, sys, threading, time, warnings

        @atexit.register
        def after_all_of_ours():
            print("at the very last", allcores.map(abs, [-3], start={start!r}))

        import allcores

        warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)  # asked for, from threads

        @atexit.register
        def at_last():
            print("at last", allcores.map(abs, [-1, -2], start={start!r}))
            print("at last", list(allcores.imap(abs, [-1, -2], start={start!r})))
            with allcores.Pool(1, start={start!r}) as pool:
                print("at last", pool.map(abs, [-1, -2]))

        def go_on():
            threading.main_thread().join()
            print("thread", allcores.map(abs, [-1, -2], start={start!r}))

        executor = allcores.Executor(1, start={start!r})
        executor.submit(time.sleep, 0.1)
        executor.submit(pow, 2, 5).add_done_callback(lambda future: print("executor", future.result()))
        threading.Thread(target=go_on).start()
        sys.exit(3)
    """
    done = run_python(textwrap.dedent(program), code=3)
    assert sorted(done.stdout.splitlines()) == [
        "at last [1, 2]",
        "at last [1, 2]",
        "at last [1, 2]",
        "at the very last [3]",
        "executor 32",
        "thread [1, 2]",
    ]
    assert done.stderr == ""
