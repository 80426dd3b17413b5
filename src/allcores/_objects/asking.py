"""What allcores asks of the user's objects beside running the function: their text, their names, what they bear.

Any of it may run code of theirs, which may raise anything. Nothing of that may end a run, or hide what the text was
wanted for. What exceptions have no say in, such as their cause, is looked up past the methods that they define.
"""

from __future__ import annotations

from collections.abc import Callable

from allcores._core.hints import Any, TypeVar
from allcores._core.kinds import type_name
from allcores._system.interrupts import hold_interrupts

__all__ = [
    "Outburst",
    "add_note",
    "ask",
    "attributes_of",
    "describe",
    "give_field",
    "set_field",
    "text_of",
]

T = TypeVar("T")


class Outburst(Exception):
    """Stands for an exception that would have ended the program; see `ask`."""


def ask(question: Callable[..., T], *arguments: Any) -> T:
    """Call what may run the user's code for our own ends; of whatever it raises, only an `Exception` comes out.

    Ctrl-C and signal handlers end programs as well, and strike wherever the program happens to be. But they don't
    twice at the same place, or Ctrl-C is held back there. So what is raised again when asked again is the object's own
    doing, and an `Outburst`; what is not, comes from outside, and passes.
    """
    try:
        return question(*arguments)
    except Exception:
        raise
    except BaseException as error:
        if not _raises_again(type(error), question, arguments):
            raise
        raise Outburst(describe(error)) from error


def _raises_again(kind: type, question: Callable[..., object], arguments: tuple[Any, ...]) -> bool:
    with hold_interrupts():
        try:
            question(*arguments)
        except BaseException as error:
            return type(error) is kind
        return False


def text_of(thing: object) -> str:
    """Give ``str(thing)``, or say that it cannot be had."""
    try:
        return str.__str__(ask(str, thing))  # of a subclass of str, a plain copy
    except Exception:
        return "(its text cannot be had)"


def describe(error: BaseException) -> str:
    """Put an exception into words, as the last line of a traceback does."""
    text = text_of(error)
    if type(error) is Outburst or not text:
        return text or type_name(error)
    return f"{type_name(error)}: {text}"


# ------------------------------------------------------------------------------------- what every exception bears


def give_field(error: BaseException, name: str) -> Any:
    """Give the ``__cause__``, the ``__traceback__`` and so on that an exception has, whatever it says of it."""
    return vars(BaseException)[name].__get__(error)


def set_field(error: BaseException, name: str, value: object) -> None:
    """Set it, even where the exception forbids to set attributes, as frozen dataclasses do."""
    vars(BaseException)[name].__set__(error, value)


def attributes_of(error: BaseException) -> dict[str, Any]:
    """Give the attributes of an exception, to be read and written past its methods."""
    attributes: dict[str, Any] = give_field(error, "__dict__")
    return attributes


def add_note(error: BaseException, note: str) -> None:
    """Add a note, unless the exception's notes are something else than a list."""
    notes = attributes_of(error).setdefault("__notes__", [])
    if type(notes) is list:
        notes.append(note)
