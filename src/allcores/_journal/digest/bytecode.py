"""Bytecode: what it does and the names it reads, wherever in its tables and in its file that stands."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType
from typing import Any

__all__ = ["global_names", "instructions"]

GLOBAL_READS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
# What the body of a class notes down about its text.
BOOKKEEPING = {"__doc__", "__firstlineno__", "__qualname__", "__static_attributes__"}


def global_names(code: CodeType) -> set[str]:
    """Give the names that a function, and those defined in it, look up in its module."""
    import dis

    names = {step.argval for step in dis.get_instructions(code) if step.opname in GLOBAL_READS}
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return names.union(*map(global_names, inner))


def instructions(code: CodeType) -> Iterator[tuple[int, Any]]:
    """Yield ``(opcode, operand)``: what is in tables by value, since a docstring moves the rest of its table."""
    import dis

    steps = [*dis.get_instructions(code)]
    for step, following in zip(steps, [*steps[1:], *steps[-1:]], strict=True):
        if any(each.opname == "STORE_NAME" and each.argval in BOOKKEEPING for each in (step, following)):
            continue
        if step.opcode in dis.hasconst:
            yield step.opcode, step.argval
        else:
            yield step.opcode, step.argrepr if step.opcode in dis.hasname else step.arg
