"""Answers: what stands under a name at the caller's, for a worker whose code has asked for it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from allcores._codec.definitions.classes import MAIN
from allcores._codec.definitions.contents import Inspection
from allcores._codec.definitions.globals import Key, Known
from allcores._codec.handover import advise_on_means
from allcores._codec.pickling import Substitute, encode_by_value
from allcores._core.hints import Any
from allcores._core.kinds import type_name
from allcores._core.records import Record
from allcores._objects.asking import ask, describe
from allcores._transport.wire import Buffer

__all__ = ["Answer", "encode_answer"]

_NOTHING = object()


class Answer(Record):
    """What a worker asked for.

    Attributes:
        values: ``{(module, name): value}`` of what is here.
        refusals: ``{(module, name): reason}`` of what is here and cannot travel.
    """

    values: dict[Key, Any]
    refusals: dict[Key, str]


def encode_answer(keys: Sequence[Key], known: Known, inspection: Inspection) -> list[Buffer]:
    """Pickle what stands under these names here; what is of a module is to take the place of the worker's own there.

    Args:
        keys: modules, and names in there, with dots for attributes of classes.
        known: as for `encode_job`.
        inspection: as for `encode_job`.
    """
    values = {key: value for key in keys if (value := _value_at(*key)) is not _NOTHING}
    refusals: dict[Key, str] = {}
    try:
        return _encode_answer(values, refusals, known, inspection)
    except Exception:  # an object's pickling may raise anything
        for key, value in list(values.items()):
            try:
                _encode_answer({key: value}, {}, known.copy(), inspection)
            except Exception as error:
                del values[key]
                known.contents.pop((key[0], key[1].partition(".")[0]), None)  # it is compared again next time
                advice = advise_on_means(value) or "create it inside the function, or once in each worker by state="
                refusals[key] = f"it is a {type_name(value)}, which cannot be pickled ({describe(error)}); {advice}"
        return _encode_answer(values, refusals, known, inspection)


def _value_at(module: str, path: str) -> Any:
    found: Any = sys.modules.get(module)
    for name in path.split("."):  # as it is there, and not as it shows as an attribute: a method may be a class's
        found = vars(found).get(name, _NOTHING) if hasattr(found, "__dict__") else _NOTHING
    return found


def _encode_answer(
    values: dict[Key, Any], refusals: dict[Key, str], known: Known, inspection: Inspection
) -> list[Buffer]:
    substitute = Substitute(known, inspection, [key for key in values if key[0] != MAIN])
    frames = ask(encode_by_value, (Answer(values, refusals), substitute.definitions), substitute)
    of_main = {name: value for (module, name), value in values.items() if module == MAIN}
    known.learn(substitute.definitions | substitute.sent | of_main, inspection)
    return frames
