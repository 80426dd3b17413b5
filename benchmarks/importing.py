"""What `import allcores` costs, and a whole script of four items, each in a fresh interpreter."""

import subprocess
import sys

from _rounds import compare, say_where

PROGRAMS = {
    "import multiprocessing.pool": "import multiprocessing.pool",
    "import allcores": "import allcores",
}
SCRIPTS = {
    "script with multiprocessing.Pool": "import multiprocessing\ndef f(x): return x * x\n"
    "with multiprocessing.Pool() as pool: print(pool.map(f, range(4)))",
    "script with allcores.map": "import allcores\ndef f(x): return x * x\nprint(allcores.map(f, range(4)))",
}


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


say_where()
compare({name: lambda program=program: run(program) for name, program in PROGRAMS.items()}, rounds=15)
compare({name: lambda program=program: run(program) for name, program in SCRIPTS.items()}, rounds=15)
