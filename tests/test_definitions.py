"""Definitions that go by value are on arrival what they were."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import pytest

import allcores
from allcores._pickling import decode, encode_by_value

pytestmark = pytest.mark.once


def travelled(thing: Any) -> Any:
    return decode([bytearray(frame) for frame in encode_by_value(thing)])


# --------------------------------------------------------------------------------------------------------------- code


def make_nested() -> Callable[[int], Any]:
    def outer(x: int, /, *, y: int = 2) -> Any:
        class Local:
            def method(self) -> Iterator[int]:
                return (x + y + z for z in range(3))

        return Local().method()

    return outer


def codes_within(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_within(constant)


def test_code_arrives_as_it_was():
    function = make_nested()
    arrived = travelled(function).__code__
    assert arrived == function.__code__
    assert {code.co_filename for code in codes_within(arrived)} == {__file__}
    assert len(list(codes_within(arrived))) == 4


def test_what_clean_workers_tell_of_code_names_its_file(clean_start: str):
    def warn(x: int) -> tuple[Any, ...]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.warn("careful", stacklevel=1)
        try:
            return (1 / x,)
        except ZeroDivisionError as error:
            (entry,) = traceback.extract_tb(error.__traceback__)
            return caught[0].filename, entry.filename, entry.line

    assert allcores.map(warn, [0], start=clean_start) == [(__file__, __file__, "return (1 / x,)")]
