"""What `Record`, and the stand-ins for `typing`, save of a script's start: `python -m benchmarks.records`.

Each way defines as many records as a script of four items does, in a fresh interpreter; imports that it needs count.
Beside them, in the same rounds, that script as a whole.
"""

import statistics
import subprocess
import sys
import time

from benchmarks.table import write_table

__all__ = ["compare"]

ROUNDS = 15
FIELDS = 4

SCRIPT = "import allcores; allcores.map(abs, range(4))"
COUNT = SCRIPT + "; from allcores._core.records import Record; print(len(Record.__subclasses__()))"
DEFINE = """
import time
begun = time.perf_counter()
{imports}
for _ in range({count}):
    {decorator}
    class Row{base}:
{fields}
print(time.perf_counter() - begun)
"""
WAYS = {
    "Record": ("from allcores._core.records import Record", "", "(Record)"),
    "NamedTuple": ("from typing import NamedTuple", "", "(NamedTuple)"),
    "dataclass(frozen=True)": ("from dataclasses import dataclass", "@dataclass(frozen=True)", ""),
    "the import of typing alone": ("import typing", "", ""),
}


def compare(rounds: int = ROUNDS) -> str:
    """Measure all ways in turn; give a table of medians in milliseconds."""
    records = int(_run(COUNT))
    seconds: dict[str, list[float]] = {name: [] for name in (*WAYS, "the whole script")}
    for _ in range(rounds):
        for name in WAYS:
            seconds[name].append(float(_run(_program(name, records))))
        seconds["the whole script"].append(_time_script())
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    whole = medians["the whole script"]
    rows = [[name, f"{median * 1e3:.2f} ms", f"{median / whole:.1%}"] for name, median in medians.items()]
    return write_table((f"{records} records of {FIELDS} fields", "time", "of the script"), rows)


def _program(name: str, records: int) -> str:
    imports, decorator, base = WAYS[name]
    count = records if base or decorator else 0
    fields = "\n".join(f"        field_{at}: int" for at in range(FIELDS))
    text = DEFINE.format(imports=imports, count=count, decorator=decorator or "pass", base=base, fields=fields)
    return "from __future__ import annotations\n" + text


def _run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def _time_script() -> float:
    begun = time.perf_counter()
    _run(SCRIPT)
    return time.perf_counter() - begun


if __name__ == "__main__":
    print(compare())
