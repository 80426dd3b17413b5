"""Arguments by the names that the standard library has for them, and options that make no sense beside them."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Context", "refuse_options_for_runs", "take_over"]

# {name: default} of options of a single run
FOR_RUNS = {"errors": "raise", "log": None, "progress": None, "resume": None}


class Context(Protocol):
    """A context of `multiprocessing`, or that module itself."""

    def get_start_method(self) -> str:
        """Say how processes start."""


def refuse_options_for_runs(options: dict[str, Any]) -> None:
    """Raise ValueError if an option is given that is for a run over one dataset."""
    for name, default in FOR_RUNS.items():
        if options.get(name, default) != default:
            raise ValueError(f"{name}={options[name]!r} is for a run over one dataset: allcores.map has it")


def take_over(options: dict[str, Any], name: str, alias: str, value: object) -> None:
    """Give an option the value that was given by the standard library's name for it.

    Args:
        options: as the caller gave them; changed.
        name: of the option.
        alias: what stands for it.
        value: given by the alias; None if it was not.

    Raises:
        ValueError: the option was given, too, and another value.
    """
    if isinstance(value, bool):  # a whole number to the standard library
        value = int(value)
    if value is not None and options.setdefault(name, value) != value:
        raise ValueError(f"{alias}={value!r} contradicts {name}={options[name]!r}; give one of them")
