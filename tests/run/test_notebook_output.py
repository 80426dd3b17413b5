"""What items print, log and warn of in worker processes lands in the notebook's cell, by whole lines."""

from __future__ import annotations

import ast

# Does what a notebook's front end does; a program of its own, as the clients of a kernel keep threads.
FRONT_END = """
import sys
from jupyter_client.manager import start_new_kernel

DEFINITIONS = '''
import logging, sys, warnings
import allcores

logging.basicConfig(level=logging.INFO, format="%(item)s: %(message)s", force=True)

def tell(x):
    print("printed", x, "by the item")
    print("to standard error", x, file=sys.stderr)
    logging.info("logged")
    warnings.warn("warned", stacklevel=1)
    return x

def run_all(start):
    allcores.map(tell, range(20), workers=2, start=start, progress=False)
    print("done")
'''

def main(start):
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        run(client, DEFINITIONS)
        for _ in range(2):
            print(run(client, f"run_all({start!r})"))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)

def run(client, code):
    said = {"stdout": "", "stderr": ""}

    def hear(message):
        if message["parent_header"].get("msg_id") == message_id and message["msg_type"] == "stream":
            said[message["content"]["name"]] += message["content"]["text"]

    message_id = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=20)
        hear(message)
        if message["parent_header"].get("msg_id") == message_id and message["content"].get("execution_state") == "idle":
            return said

main(*sys.argv[1:])
"""


def test_what_items_say_lands_in_the_cell_that_runs_them(start, run_python):
    done = run_python(f"import sys\nsys.argv.append({start!r})\n{FRONT_END}", warnings="default")
    cells = [ast.literal_eval(line) for line in done.stdout.splitlines()]
    assert len(cells) == 2
    for said in cells:
        *printed, last = said["stdout"].splitlines()
        assert last == "done"
        assert sorted(printed) == sorted(f"printed {x} by the item" for x in range(20))
        errors = said["stderr"].splitlines()
        assert sum(line.endswith("UserWarning: warned") for line in errors) == 1
        for x in range(20):
            assert errors.count(f"to standard error {x}") == errors.count(f"{x}: logged") == 1
