"""What type a thing is, told without asking the thing: nothing of its class or metaclass runs."""

from __future__ import annotations

from collections.abc import Mapping

from allcores._core.hints import Any, TypeGuard, TypeVar

__all__ = ["attributes_of", "is_a", "is_dask_client", "is_executor", "qualified_name", "runs_in_threads", "type_name"]

T = TypeVar("T")


def is_a(thing: object, kind: type[T]) -> TypeGuard[T]:
    """Whether it is of this type or of one below; unlike ``isinstance``, this does not ask the thing."""
    return issubclass(type(thing), kind)


def type_name(thing: object) -> str:
    """Give the name of the type, which a metaclass may hide."""
    return str.__str__(vars(type)["__name__"].__get__(type(thing)))


def qualified_name(thing: object) -> str:
    """Give the qualified name of the type, which a metaclass may hide."""
    return str.__str__(vars(type)["__qualname__"].__get__(type(thing)))


def is_executor(thing: object) -> bool:
    """Whether it is an executor of `concurrent.futures`, which need not be imported to know."""
    return _is_of(type(thing), "concurrent.futures._base", "Executor")


def is_dask_client(thing: object) -> bool:
    """Whether it is a client of a Dask cluster, which need not be imported to know."""
    return _is_of(type(thing), "distributed.client", "Client")


def runs_in_threads(thing: object) -> bool:
    """Whether it is an executor whose calls run in threads of this process, or a class of such; others may be, too."""
    kind = thing if isinstance(thing, type) else type(thing)
    is_apart = _is_of(kind, "concurrent.futures.interpreter", "InterpreterPoolExecutor")
    return _is_of(kind, "concurrent.futures.thread", "ThreadPoolExecutor") and not is_apart


def attributes_of(kind: type) -> Mapping[str, Any]:
    """Give what the type itself holds, without what it inherits."""
    held: Mapping[str, Any] = vars(type)["__dict__"].__get__(kind)
    return held


def _is_of(kind: type, module: str, name: str) -> bool:
    for base in vars(type)["__mro__"].__get__(kind):
        home = attributes_of(base).get("__module__")
        if type(home) is str and home == module and str.__eq__(vars(type)["__name__"].__get__(base), name):
            return True
    return False
