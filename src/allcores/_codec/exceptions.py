"""Exceptions that travel: taken apart in the worker, put together again in the driver.

Pickling an exception loses its traceback, its cause and its context, may fail at either end for reasons of its own, and
may succeed with another text (see `_anatomy`). So each exception of a chain, of a group or in another's attributes
travels by itself, beside its text, and whatever is wrong with one hurts only that one. They travel as a flat list, in
which one names others by their position: chains may be long, may share links and may even bite their own tail.

What a class says itself about its pickling is heeded if one like the original comes of it, which is tried out in the
worker. Otherwise the class and the parts travel, and the constructor is not called again. A part that cannot travel is
replaced by its `Likeness`, and a note says so.
"""

from __future__ import annotations

import copyreg
import pickle
from contextlib import suppress
from math import inf

from allcores._codec.anatomy import (
    Anatomy,
    Likeness,
    Place,
    dissect,
    is_copied_faithfully,
    is_plain,
    make_bare,
    name_of,
    restore,
)
from allcores._codec.pickling import PROTOCOL, Pupil, decode, encode, encode_by_value
from allcores._core.errors import ItemError
from allcores._core.hints import Any
from allcores._core.kinds import is_a, qualified_name
from allcores._core.records import Record
from allcores._objects.asking import add_note, ask, describe, give_field, set_field
from allcores._objects.outcomes import Failure, Raised, WorkerIdentity
from allcores._objects.tracebacks import (
    FrameData,
    format_frames,
    format_traceback,
    rebuild_traceback,
    take_apart,
    without_our_frames,
)

__all__ = ["ExceptionData", "decode_exception", "encode_exception", "leave_behind", "raised_here"]

MOST_SENT_TWICE = 1 << 16  # bytes of a part that also travels with the others, in case that those can't be unpickled
MOST_OF_OBJECT = 1 << 20  # bytes of the object that lacked an attribute

Frames = list[bytes]

_handled_by_driver: BaseException | None = None  # in a forked worker


class _Part(Record):
    """One part of an exception, by itself."""

    place: Place
    frames: Frames | None  # None: it cannot be pickled, or is large and travels in another way, too
    likeness: Likeness | None  # None: it is plain
    trouble: str  # why there are no frames


class _Parts(Record):
    """The parts of an exception."""

    together: Frames | None  # None: they cannot be pickled, or are not needed
    singly: list[_Part]  # for where that fails
    lost: list[tuple[Place, str]]  # which of those together are but likenesses, and why


class _Link(Record):
    """One exception of a chain or a group."""

    kind: Frames | None  # the class; None: it cannot be pickled
    group: tuple[str, list[int]] | None  # the message and the members of a group
    own: Frames | None  # the exception as its class says; None: that is not faithful
    parts: _Parts
    type_name: str
    summary: str
    frames: list[FrameData]
    cause: int | None  # positions in the list of links
    context: int | None
    hides_context: bool


class ExceptionData(Record):
    """An exception taken apart."""

    links: list[_Link]  # the exception itself comes first
    text: str  # the traceback, chain included


def raised_here(error: BaseException) -> Raised:
    """Tell of an exception that need not travel; it keeps its own traceback, less our frames."""
    _strip_traceback(error)
    return Raised(error, format_traceback(error))


def _strip_traceback(error: BaseException) -> None:
    set_field(error, "__traceback__", without_our_frames(give_field(error, "__traceback__")))


def leave_behind(error: BaseException | None) -> None:
    """Hear, in a forked worker, what the driver was handling: Python has it be the context of all that is raised here.

    In the driver it will be again, when what is raised here is raised there.
    """
    global _handled_by_driver  # noqa: PLW0603 - a fact about this process
    _handled_by_driver = error


# -------------------------------------------------------------------------------------------------- taking apart


def encode_exception(error: BaseException) -> ExceptionData:
    """Take an exception apart, with its chain and the user's frames. Raises nothing, whatever the exception is like."""
    connected = _connected(error)
    positions = {id(one): at for at, (one, _) in enumerate(connected)}
    for one, _ in connected:
        _strip_traceback(one)
    links = [_take_apart(one, anatomy, positions) for one, anatomy in connected]
    return ExceptionData(links, format_traceback(error))


def _connected(error: BaseException) -> list[tuple[BaseException, Anatomy]]:
    """List an exception and all that it is chained to, made of or bears, each once."""
    found, seen = [(error, dissect(error))], {id(error)}
    for one, anatomy in found:  # grows while it is walked
        chained = (give_field(one, "__cause__"), _context_of(one))
        for other in (*chained, *_members(one), *anatomy.exceptions()):
            if other is not None and id(other) not in seen:
                seen.add(id(other))
                found.append((other, dissect(other)))
    return found


def _context_of(error: BaseException) -> BaseException | None:
    context: BaseException | None = give_field(error, "__context__")
    return None if context is _handled_by_driver else context


def _members(error: BaseException) -> tuple[BaseException, ...]:
    return vars(BaseExceptionGroup)["exceptions"].__get__(error) if is_a(error, BaseExceptionGroup) else ()


def _take_apart(error: BaseException, anatomy: Anatomy, positions: dict[int, int]) -> _Link:
    cause, context = give_field(error, "__cause__"), _context_of(error)
    own = _pickle_as_told(error, anatomy, positions)
    anatomy = _without_large_object(anatomy, positions)
    return _Link(
        kind=_pickle_kind(type(error)),
        group=_take_group_apart(error, positions),
        own=own,
        parts=_pickle_parts(anatomy, positions, is_spare=own is not None),
        type_name=qualified_name(error),
        summary=describe(error),
        frames=take_apart(give_field(error, "__traceback__")),
        cause=None if cause is None else positions[id(cause)],
        context=None if context is None else positions[id(context)],
        hides_context=give_field(error, "__suppress_context__"),
    )


def _pickle_kind(kind: type) -> Frames | None:
    try:
        return _as_bytes(ask(encode, kind, Pupil()))
    except Exception:  # a class may be anything
        return None


def _take_group_apart(error: BaseException, positions: dict[int, int]) -> tuple[str, list[int]] | None:
    if not is_a(error, BaseExceptionGroup):
        return None
    message = vars(BaseExceptionGroup)["message"].__get__(error)
    return str.__str__(message), [positions[id(member)] for member in _members(error)]


def _pickle_as_told(error: BaseException, anatomy: Anatomy, positions: dict[int, int]) -> Frames | None:
    if not is_copied_faithfully(error):
        return None
    try:
        return _pickle(error, positions, is_plain=_is_plain(anatomy), but=error)
    except Exception:  # an exception's pickling may raise anything
        return None


def _pickle_parts(anatomy: Anatomy, positions: dict[int, int], *, is_spare: bool) -> _Parts:
    """Pickle the parts, together and singly; plain ones need no second way.

    Args:
        anatomy: the parts.
        positions: of the exceptions that travel beside it.
        is_spare: whether the exception travels in another way, and this is for where it does not arrive.
    """
    if _is_plain(anatomy):
        return _Parts(_as_bytes([pickle.dumps(tuple(anatomy), PROTOCOL)]), [], [])
    parts = list(anatomy.parts())
    likenesses: dict[int, Likeness] = {}  # {id: what stands for it}, as a thing may be a part twice
    together = None if is_spare else _try_to_pickle(parts, positions)
    if is_spare or together is not None:
        return _Parts(together, [_pickle_singly(part, positions, likenesses, MOST_SENT_TWICE) for part in parts], [])
    singly = [_pickle_singly(part, positions, likenesses) for part in parts]
    lost = [(part.place, part.trouble) for part in singly if part.frames is None]
    left = [
        (place, likenesses[id(value)] if part.frames is None else value)
        for (place, value), part in zip(parts, singly, strict=True)
    ]
    return _Parts(_try_to_pickle(left, positions), singly, lost)


def _try_to_pickle(parts: list[tuple[Place, Any]], positions: dict[int, int]) -> Frames | None:
    try:
        return _pickle(tuple(Anatomy.of_parts(parts)), positions)
    except Exception:  # a part's pickling may raise anything
        return None


def _is_plain(anatomy: Anatomy) -> bool:
    return all(is_plain(value) for _, value in anatomy.parts())


def _pickle_singly(
    part: tuple[Place, Any], positions: dict[int, int], likenesses: dict[int, Likeness], most: float = inf
) -> _Part:
    place, value = part
    if is_plain(value):
        return _Part(place, [pickle.dumps(value, PROTOCOL)], None, "")
    likeness = likenesses.setdefault(id(value), Likeness(value))
    try:
        frames = _pickle(value, positions)
    except Exception as error:  # a part's pickling may raise anything
        return _Part(place, None, likeness, describe(error))
    if sum(map(len, frames)) > most:
        return _Part(place, None, likeness, "it was too large to be sent twice")
    return _Part(place, frames, likeness, "")


def _without_large_object(anatomy: Anatomy, positions: dict[int, int]) -> Anatomy:
    """Put a likeness in the place of the object that lacked an attribute, if it is large or cannot travel.

    Python has put it there, for whoever prints the exception; often it is the item.
    """
    fields = anatomy.fields
    for field, value in fields.items():
        if field[1] == "obj" and not _is_small(value, positions):
            return anatomy._replace(fields={**fields, field: Likeness(value)})
    return anatomy


def _is_small(thing: Any, positions: dict[int, int]) -> bool:
    try:
        return sum(map(len, _pickle(thing, positions, is_plain=is_plain(thing)))) <= MOST_OF_OBJECT
    except Exception:  # its pickling may raise anything
        return False


def _pickle(
    thing: Any, positions: dict[int, int], *, is_plain: bool = False, but: BaseException | None = None
) -> Frames:
    """Pickle by value; exceptions in it travel as links, or are taken apart, too.

    Args:
        thing: an exception, or parts of one.
        positions: of the exceptions that travel beside it.
        is_plain: whether there are none in it, nor functions nor classes.
        but: the exception that is pickled as its class says.
    """
    if is_plain:
        with suppress(Exception):  # whatever it was, by value it may work
            return [pickle.dumps(thing, PROTOCOL)]
    others = positions if but is None else {key: at for key, at in positions.items() if key != id(but)}

    def reduce(one: Any) -> Any:
        if one is but or not is_a(one, BaseException) or is_copied_faithfully(one):
            return None
        return make_bare, (type(one), _group_of(one)), dissect(one), None, None, restore

    return _as_bytes(ask(encode_by_value, thing, Pupil(), others, reduce))


def _group_of(error: BaseException) -> tuple[str, list[BaseException]] | None:
    if not is_a(error, BaseExceptionGroup):
        return None
    return vars(BaseExceptionGroup)["message"].__get__(error), list(_members(error))


def _as_bytes(frames: list[Any]) -> Frames:
    return [bytes(frame) for frame in frames]


# ----------------------------------------------------------------------------------------- putting together again


def decode_exception(data: ExceptionData) -> Raised:
    """Put an exception together again; one whose class cannot be had becomes an `ItemError` with its text."""
    return Raised(_Assembly(data).assemble(), data.text)


def _reduce_failure(failure: Failure) -> tuple[Any, ...]:
    """Pickle a failure, wherever it is met, in the results of a run inside of an item, say: its exception as any."""
    apart = encode_exception(failure.exception)._replace(text=failure.traceback)
    return _failure_again, (failure.index, failure.item, apart, failure.worker, failure.tries, failure.output)


def _failure_again(  # noqa: PLR0917 - as it was taken apart
    index: int, item: Any, apart: ExceptionData, worker: WorkerIdentity, tries: int, output: str
) -> Failure:
    error, traceback = decode_exception(apart)
    return Failure(index, item, error, traceback, worker, tries, output=output)


copyreg.pickle(Failure, _reduce_failure)


class _Assembly:
    """Puts the exceptions of a list together: first bare ones, which the parts of others may then lead to."""

    def __init__(self, data: ExceptionData) -> None:
        self._data = data
        self._made: dict[int, BaseException] = {}
        self._begun: set[int] = set()
        self._bare: list[int] = []  # those that lack their parts

    def assemble(self) -> BaseException:
        """Give the first one, all others being linked to it."""
        links = self._data.links
        for at in reversed(range(len(links))):  # members of groups mostly come after these
            self._make(at)
        for at in self._bare:
            self._fill(links[at], self._made[at])
        for at, link in enumerate(links):
            error = self._made[at]
            set_field(error, "__traceback__", rebuild_traceback(link.frames))
            set_field(error, "__cause__", None if link.cause is None else self._made[link.cause])
            set_field(error, "__context__", None if link.context is None else self._made[link.context])
            set_field(error, "__suppress_context__", link.hides_context)
        return self._made[0]

    def _make(self, at: int) -> BaseException:
        """Make the exception at this position, less its parts; it may be asked for many times."""
        if at not in self._made:
            if at in self._begun:
                raise LookupError("it is needed for itself")
            self._begun.add(at)
            made = self._make_as_told(at)
            if made is None:  # not: if it is false, as an exception may say so of itself
                made = self._make_bare(at)
            self._made[at] = self._stand_in(at) if made is None else made
        return self._made[at]

    def _make_as_told(self, at: int) -> BaseException | None:
        own = self._data.links[at].own
        if own is None:
            return None
        try:
            error = ask(decode, list(own), self._make)
        except Exception:  # an exception's unpickling may raise anything
            return None
        return error if is_a(error, BaseException) else None

    def _make_bare(self, at: int) -> BaseException | None:
        link = self._data.links[at]
        if link.kind is None:
            return None
        try:
            kind = ask(decode, list(link.kind))
            group = None if link.group is None else (link.group[0], [self._make(member) for member in link.group[1]])
            error: BaseException = make_bare(kind, group)
        except Exception:  # the class is not here, or is not what it was
            return None
        self._bare.append(at)
        return error

    def _stand_in(self, at: int) -> ItemError:
        link = self._data.links[at]
        trace = self._data.text if at == 0 else format_frames(link.frames, link.summary)
        text = f"{link.summary} (the exception itself is not here, as its class cannot be pickled, or unpickled here)"
        return ItemError(text, type_name=link.type_name, remote_traceback=trace)

    def _fill(self, link: _Link, error: BaseException) -> None:
        """Give a bare exception its parts, and say in notes what is not one."""
        lost = list(link.parts.lost)
        find = self._made.__getitem__ if link.parts.singly else None  # plain parts lead nowhere, and are read sooner
        try:
            anatomy = Anatomy(*ask(decode, list(link.parts.together or []), find))
        except Exception:  # a part's unpickling may raise anything; and there may be none
            lost.clear()
            anatomy = Anatomy.of_parts([(part.place, self._read(part, lost)) for part in link.parts.singly])
        restore(error, anatomy)
        for place, why in lost:
            add_note(
                error, f"allcores: {name_of(place)} stayed behind ({why}); what is in its place only looks like it"
            )
        if lost and describe(error) != link.summary:
            add_note(error, f"allcores: the text was {link.summary}")

    def _read(self, part: _Part, lost: list[tuple[Place, str]]) -> Any:
        trouble = part.trouble
        if part.frames is not None:
            try:
                return ask(decode, list(part.frames), self._made.__getitem__)
            except Exception as error:  # a part's unpickling may raise anything
                trouble = describe(error)
        lost.append((part.place, trouble))
        return part.likeness
