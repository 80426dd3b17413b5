"""Interrupting a notebook's kernel ends the cell alone: the kernel answers, and allcores works as before."""

from __future__ import annotations

import ast

# Does what a notebook's front end does; a program of its own, as the clients of a kernel keep threads.
FRONT_END = """
import ast, os, random, sys, time
import psutil
from jupyter_client.manager import start_new_kernel

DEFINITIONS = '''
import os, re
import allcores, psutil

def tell():
    with open("busy", "a") as busy:
        busy.write(f"{os.getpid()}\\\\n")

def work(x):
    if x >= 20:
        tell()
        re.match("(a+)+$", "a" * 60 + "b")
    return x

tell()
'''
INTERRUPTED = '''
taken, finished, options = {{}}, {{}}, {{"workers": 2, "batch": 1, "start": {start!r}}}
try:
    if {call!r} == "map":
        allcores.map(work, range(1000), **options)
    else:
        for x in allcores.imap(work, range(1000), **options):
            taken[len(taken)] = x
            if x == 19:
                tell()
except KeyboardInterrupt as error:
    finished = allcores.finished(error)
    raise
'''
AFTERWARDS = '''
children = len(psutil.Process().children(recursive=True))
later = allcores.map(lambda x: 2 * x, range(5), **options)
'''

def main(start):
    os.mkfifo("busy")
    busy = os.open("busy", os.O_RDWR)
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        assert answer(client, client.execute(DEFINITIONS))["status"] == "ok"
        [kernel] = read_pids(busy, 1)
        chance = random.Random(start)
        for times in 1, 2:
            for call in "map", "imap":
                cell = client.execute(INTERRUPTED.format(start=start, call=call), stop_on_error=False)
                pids = read_pids(busy, 2 if call == "map" else 3)
                for _ in range(times):
                    manager.interrupt_kernel()
                    time.sleep(chance.uniform(0, 0.010))  # that the moment of the second is any is what this is about
                ending = answer(client, cell)["ename"]
                left = [pid for pid in pids if pid != kernel and psutil.pid_exists(pid)]
                afterwards = client.execute(AFTERWARDS, user_expressions={"told": "taken, finished, children, later"})
                told = answer(client, afterwards)["user_expressions"]["told"]["data"]["text/plain"]
                print((call, times, ending, left, *ast.literal_eval(told)))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)

def answer(client, message):
    while (reply := client.get_shell_msg(timeout=20))["parent_header"]["msg_id"] != message:
        pass
    return reply["content"]

def read_pids(pipe, count):
    text = b""
    while text.count(b"\\n") < count:
        text += os.read(pipe, 1000)
    return [int(pid) for pid in text.split()]

main(*sys.argv[1:])
"""


def test_an_interrupted_cell_ends_alone(start, run_python):
    done = run_python(f"import sys\nsys.argv.append({start!r})\n{FRONT_END}", warnings="default")
    told = [ast.literal_eval(line) for line in done.stdout.splitlines()]
    assert [(call, times) for call, times, *_ in told] == [("map", 1), ("imap", 1), ("map", 2), ("imap", 2)]
    for call, times, ending, left, taken, finished, children, later in told:
        assert (ending, left, later) == ("KeyboardInterrupt", [], [0, 2, 4, 6, 8]), (call, times)
        assert children <= (0 if start == "fork" else 3), (call, times)  # a fork server, and two workers that are idle
        assert taken.keys().isdisjoint(finished)
        assert set(taken | finished) <= set(range(20))
        assert all(i == x for i, x in (taken | finished).items())
        assert times == 2 or len(taken | finished) > 10
