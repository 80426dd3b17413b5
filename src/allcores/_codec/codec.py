"""What messages carry, as frames: the job, batches of items, definitions, outcomes.

What cannot travel is sorted out here, so that it hurts only the item that it belongs to.
"""

from __future__ import annotations

import operator
import pickle
from collections.abc import Collection, Mapping, Sequence
from pickle import PickleBuffer
from types import FunctionType

from allcores._codec.definitions.classes import is_definition
from allcores._codec.definitions.contents import Contents, Inspection
from allcores._codec.definitions.definitions import is_importable
from allcores._codec.definitions.globals import NOTHING_LACKING, Key, Known, find_lacking
from allcores._codec.exceptions import ExceptionData, decode_exception, encode_exception
from allcores._codec.mentions import definitions_named_in
from allcores._codec.packing import Parcel, packed
from allcores._codec.pickling import (
    OUT_OF_BAND,
    PROTOCOL,
    Announcer,
    Pupil,
    Role,
    Surveyor,
    Teacher,
    decode,
    encode,
    encode_by_value,
    is_picklable,
    set_apart,
)
from allcores._core.errors import UnpicklableItem, UnpicklableResult
from allcores._core.functions import advise
from allcores._core.hints import Any
from allcores._core.kinds import is_a, type_name
from allcores._core.records import Record
from allcores._objects.asking import ask, describe, set_field
from allcores._objects.outcomes import Raised
from allcores._transport.wire import Buffer

__all__ = [
    "Encoded",
    "PartialItems",
    "decode_outcomes",
    "encode_definitions",
    "encode_items",
    "encode_job",
    "encode_outcomes",
    "encode_settings",
]

PLAIN = frozenset({bool, float, int, str, type(None)})  # whose pickles name nothing
FEW = 8  # values of which one quickly knows what they are

# ----------------------------------------------------------------------------------------------------------- the job


class Encoded(Record):
    """What was pickled.

    Attributes:
        frames: of the message.
        definitions: ``{name: thing}``, what the worker must have learnt first; of a job, what it learns by it.
        unsure: ``{(module, name): contents}``, what the worker must have compared with its own first.
    """

    frames: list[Buffer]
    definitions: dict[str, Any]
    unsure: dict[Key, Contents]


def encode_job(
    job: object, known: Known | None = None, inspection: Inspection | None = None, *, is_whole: bool = False
) -> Encoded:
    """Pickle ``(job, definitions)``: by value, with the definitions that the worker shall know by name.

    Args:
        job: what travels.
        known: what the worker's ``__main__`` has of the caller's, if the worker shares it: the caller's functions then
            live in there. What is sent is noted down, once all is pickled.
        inspection: looks at what things consist of; one of its own by default.
        is_whole: whether all globals must travel that the job leads to. Else those that cannot be pickled stay behind:
            an initializer may make them. A function that misses one says so.
    """
    inspection = inspection or Inspection(is_only=True)
    try:
        return _encode_job(job, known, inspection, ())
    except Exception:  # an object's pickling may raise anything
        if known is None or is_whole:
            raise
        return _encode_job(job, known, inspection, _unpicklable_globals({"the job": job}, known, inspection))


def _encode_job(job: object, known: Known | None, inspection: Inspection, left_out: Collection[str]) -> Encoded:
    # The pickler fills the dict while it works on the job, and comes to the dict itself last.
    teacher = Teacher(known, inspection, left_out)
    frames = ask(encode_by_value, (job, teacher.definitions), teacher)
    if known is None:
        return Encoded(frames, teacher.definitions, {})
    # What can be imported, the pickler does not look into.
    for lead in (*(job if is_a(job, tuple) else (job,)), *definitions_named_in(frames[:1], known, inspection)):
        teacher.unsure |= find_lacking(lead, known, inspection).unsure
    known.learn(teacher.definitions | teacher.sent, inspection)
    return Encoded(frames, teacher.definitions, teacher.unsure)


def _unpicklable_globals(values: Mapping[str, Any], known: Known, inspection: Inspection) -> set[str]:
    """Find out which values cannot be pickled: of these, and of the globals that they lead to, each by itself."""
    surveyor = Surveyor(known, inspection)
    pending = dict(values)
    verdicts: dict[str, bool] = {}
    while pending:
        name, value = pending.popitem()
        verdicts[name] = is_picklable(value, surveyor)
        pending |= {name: value for name, value in surveyor.met.items() if name not in verdicts}
    return {name for name, may_go in verdicts.items() if not may_go}


# ---------------------------------------------------------------------------------------------- things one by one


class _Singles(Record):
    """Things that could not be pickled as one, each pickled by itself; none for what could not be pickled at all."""

    pickled: list[list[PickleBuffer] | None]

    def read(self) -> tuple[list[Any], dict[int, str]]:
        """Give the things, None where there is none; and what could not be unpickled, why, by position."""
        things: list[Any] = [None] * len(self.pickled)
        errors = {}
        for at, frames in enumerate(self.pickled):
            if frames is None:
                continue
            try:
                things[at] = ask(decode, list(frames))
            except Exception as error:  # an object's unpickling may raise anything
                errors[at] = describe(error)
        return things, errors


def _encode_singly(things: Sequence[Any], role: Role) -> tuple[_Singles, dict[int, Exception]]:
    """Pickle each by itself; give what is raised for one that cannot be, by position."""
    pickled: list[list[PickleBuffer] | None] = []
    errors = {}
    for at, thing in enumerate(things):
        try:
            pickled.append([PickleBuffer(frame) for frame in ask(encode, thing, role)])
        except Exception as error:  # an object's pickling may raise anything
            errors[at] = error
            pickled.append(None)
    return _Singles(pickled), errors


def _kind_of(error: Exception) -> str:
    """Give the name of the builtin type of an exception."""
    return next(base.__name__ for base in type(error).__mro__ if base.__module__ == "builtins")


# ---------------------------------------------------------------------------------------------------------- items


class PartialItems(Record):
    """A batch in which some items did not arrive: ``errors`` tells why, by position in the batch."""

    items: list[Any]
    errors: dict[int, UnpicklableItem]


class _SingleItems:
    """A batch whose items travel one by one; it arrives as `PartialItems`."""

    def __init__(self, items: _Singles, errors: dict[int, UnpicklableItem]) -> None:
        self.items = items
        self.errors = errors

    def __reduce__(self) -> tuple[Any, ...]:
        return _receive_single_items, (self.items, self.errors)


def _receive_single_items(singles: _Singles, errors: dict[int, UnpicklableItem]) -> PartialItems:
    items, unreadable = singles.read()
    text = "it arrived at its worker and could not be unpickled there: "
    return PartialItems(items, errors | {at: UnpicklableItem(text + why) for at, why in unreadable.items()})


def _refuse_item(item: Any, why: Exception, role: Role) -> UnpicklableItem:
    from allcores._codec.captures import find_culprit  # hardly ever needed

    _, culprit = find_culprit(item, role)
    return UnpicklableItem(f"a {type_name(culprit)} cannot be pickled: {describe(why)}", kind=_kind_of(why))


def encode_definitions(definitions: dict[str, Any], known: Known, inspection: Inspection) -> list[Buffer]:
    """Pickle definitions by value, less those that cannot be: items that need them will not be read, and say so.

    Args:
        definitions: ``{name: thing}``, to be learnt by the worker.
        known: as for `encode_job`.
        inspection: as for `encode_job`.
    """
    try:
        return _encode_definitions(definitions, known, inspection, ())
    except Exception:  # a class's own attributes may be anything
        left_out = _unpicklable_globals(definitions, known, inspection)
        kept = {name: thing for name, thing in definitions.items() if name not in left_out}
        return _encode_definitions(kept, known, inspection, left_out)


def _encode_definitions(
    definitions: dict[str, Any], known: Known, inspection: Inspection, left_out: Collection[str]
) -> list[Buffer]:
    teacher = Teacher(known, inspection, left_out)
    frames = ask(encode_by_value, _Lesson(definitions, teacher.definitions), teacher)
    known.learn(teacher.definitions | definitions | teacher.sent, inspection)
    return frames


class _Lesson:
    """Definitions, and those that they lead to, which are found while the first are pickled; it arrives as one dict."""

    def __init__(self, definitions: dict[str, Any], more: dict[str, Any]) -> None:
        self.definitions = definitions
        self.more = more

    def __reduce__(self) -> tuple[Any, ...]:
        return operator.or_, (self.definitions, self.more)  # in this order the second is complete in time


def encode_items(items: Sequence[Any], known: Known, inspection: Inspection) -> Encoded:
    """Pickle a batch; an item that cannot travel goes as the reason why.

    Args:
        items: the batch.
        known: what the worker's ``__main__`` has of the caller's.
        inspection: looks at what things consist of.
    """
    if len(items) == 1 and _is_plain_call(items[0], known, inspection):
        data = pickle.dumps(items, PROTOCOL)
        if len(data) < OUT_OF_BAND:  # else there is a long text, which travels better apart
            return Encoded([data], {}, {})
    teacher = Announcer(known, inspection)
    try:
        frames = ask(encode, packed(set_apart(items)), teacher)
        pickles: list[Buffer | PickleBuffer] = [frames[0]]
    except Exception:  # an item's pickling may raise anything
        singles, errors = _encode_singly(items, teacher)
        refusals = {at: _refuse_item(items[at], why, teacher) for at, why in errors.items()}
        frames = encode(_SingleItems(singles, refusals))
        pickles = [single[0] for single in singles.pickled if single is not None]
    return Encoded(frames, _lessons(pickles, teacher, known, inspection), teacher.unsure)


def _lessons(
    pickles: Sequence[Buffer | PickleBuffer], announcer: Announcer, known: Known, inspection: Inspection
) -> dict[str, Any]:
    """Give what the worker must learn before it reads these pickles."""
    for thing in definitions_named_in(pickles, known, inspection):
        lacking = find_lacking(thing, known, inspection)
        announcer.met |= lacking.values
        announcer.unsure |= lacking.unsure
    noted = {name: thing for name, thing in announcer.definitions.items() if not known.has(name, thing)}
    return noted | announcer.met


def encode_settings(settings: object, known: Known, inspection: Inspection) -> Encoded:
    """Pickle settings that name things of ``__main__``.

    Args:
        settings: what travels; it can be pickled.
        known: as for `encode_items`.
        inspection: as for `encode_items`.
    """
    announcer = Announcer(known, inspection)
    frames = ask(encode, settings, announcer)
    return Encoded(frames, _lessons(frames[:1], announcer, known, inspection), announcer.unsure)


def _is_plain_call(item: Any, known: Known, inspection: Inspection) -> bool:
    """Whether an item is a call of a function that the worker has, or can import, complete, with plain arguments."""
    if type(item) is not tuple or [*map(type, item)] != [FunctionType, tuple, dict]:
        return False
    function, args, keywords = item
    if not PLAIN.issuperset(map(type, (*args, *keywords, *keywords.values()))):
        return False
    is_there = known.has(function.__qualname__, function) and is_definition(function)
    return (is_there or is_importable(function)) and find_lacking(function, known, inspection) is NOTHING_LACKING


# ------------------------------------------------------------------------------------------------------- outcomes


def encode_outcomes(start: int, values: list[Any] | Parcel, raised: dict[int, BaseException]) -> list[Buffer]:
    """Pickle what came of consecutive items.

    Args:
        start: the first item's index.
        values: one per item; None for those that failed.
        raised: ``{index: exception}`` of those that failed. A value that cannot be pickled becomes one more.
    """
    errors = _encode_raised(raised)
    try:
        content = values.close() if isinstance(values, Parcel) else values
        if not errors and type(content) is list and len(content) <= FEW and PLAIN.issuperset(map(type, content)):
            return [pickle.dumps((start, content, errors), PROTOCOL)]
        return ask(encode, (start, set_apart(content) if isinstance(content, list) else content, errors), Pupil())
    except Exception:  # a result's pickling may raise anything
        values = list(values)
        singles, reasons = _encode_singly(values, Pupil())
        for at, error in reasons.items():
            why = describe(error)
            text = f"the result, a {type_name(values[at])}, cannot be pickled: {why}{advise(values[at], why)}"
            errors[start + at] = encode_exception(UnpicklableResult(text, kind=_kind_of(error)))
        return encode((start, singles, errors))


def _encode_raised(raised: dict[int, BaseException]) -> dict[int, ExceptionData]:
    """Take exceptions apart; one that is kept and raised for several items only once, as of the last of them."""
    if not raised:
        return {}
    distinct = {id(error): error for error in raised.values()}
    encoded = {key: encode_exception(error) for key, error in distinct.items()}
    for error in distinct.values():
        set_field(error, "__traceback__", None)  # or it would grow when this very exception is raised again
    return {index: encoded[id(error)] for index, error in raised.items()}


def decode_outcomes(frames: list[Buffer]) -> tuple[list[Any], dict[int, Raised]]:
    """Unpickle what `encode_outcomes` gave: the values, and ``{index: what was raised}``.

    Raises:
        UnpicklableResult: a value cannot be unpickled; nobody knows which.
    """
    try:
        start, values, errors = ask(decode, frames)
    except Exception as error:  # a result's unpickling may raise anything
        raise _unreadable_result(describe(error)) from error
    raised = {index: decode_exception(error) for index, error in errors.items()}
    if isinstance(values, _Singles):
        values, unreadable = values.read()
        raised |= {start + at: _told(_unreadable_result(why)) for at, why in unreadable.items()}
    return values, raised


def _unreadable_result(why: str) -> UnpicklableResult:
    return UnpicklableResult(f"its result arrived and could not be unpickled here: {why}")


def _told(error: UnpicklableResult) -> Raised:
    return Raised(error, f"{describe(error)}\n")
