"""Definitions that go by value: what cloudpickle would change of them on the way stays as it was."""

from __future__ import annotations

from types import CodeType

from allcores._hints import Any

__all__ = ["reduce_code"]

CODE_FIELDS = (  # what a code object is made of, in the order of its constructor
    *("argcount", "posonlyargcount", "kwonlyargcount", "nlocals", "stacksize", "flags", "code", "consts", "names"),
    *("varnames", "filename", "name", "qualname", "firstlineno", "linetable", "exceptiontable", "freevars", "cellvars"),
)


def reduce_code(code: CodeType) -> tuple[Any, ...]:
    """Keep the file's name, by which tracebacks, warnings, logs and debuggers find the source."""
    return CodeType, tuple(getattr(code, f"co_{field}") for field in CODE_FIELDS)
