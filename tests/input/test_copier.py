"""The copier: what is copied, what is kept, and what is left to whoever the copy travels to."""

from __future__ import annotations

import itertools
import pickle
import sys
from typing import Any

import pytest

from allcores._input.copier import Copier, InputError, Pickled, PickledThing, opens_anew, unpickle


class Opener:
    """Says itself how it is made again."""

    def __reduce__(self) -> Any:
        return Opener, ()


def copies_of(*things: Any) -> tuple[Any, ...]:
    copier = Copier(shares_files=True)
    return unpickle(copier.pickle(things), copier.buffers, copier.kept)


def test_what_is_shared_stays_shared_and_what_has_a_name_stays_itself() -> None:
    row = [1]
    first, second, module, kind = copies_of([row, row], row, sys, Opener)
    assert first[0] is first[1] is second is not row
    assert (second, module, kind) == ([1], sys, Opener)


def test_a_function_gets_variables_of_its_own() -> None:
    count = [0]

    def step() -> int:
        count[0] += 1
        return count[0]

    (copied,) = copies_of(step)
    step()
    assert (copied(), copied.__qualname__) == (1, step.__qualname__)


def test_a_group_is_listed_and_what_that_raises_is_the_input_s_own() -> None:
    (_, group), *_ = itertools.groupby("aa")
    assert list(copies_of(group)[0]) == []  # the loop has gone on
    groups = itertools.groupby(map(int, ["1", "x"]))
    _, group = next(groups)
    with pytest.raises(InputError) as caught:
        copies_of(group)
    assert isinstance(caught.value.error, ValueError)


def test_it_notices_what_may_open_something_when_it_is_made_again() -> None:
    copier = Copier(shares_files=True)
    copier.pickle(([1],))
    assert not copier.met_ways
    data = copier.pickle((Opener(),))
    assert copier.met_ways
    assert opens_anew(Opener().__reduce__)
    assert not opens_anew([].append)
    things = (Opener(),)
    stand_in = PickledThing(Pickled(things, data, copier.buffers, copier.kept), 0)
    assert repr(stand_in) == repr(things[0])


def test_what_stands_for_a_thing_arrives_as_the_thing() -> None:
    things = ([1], {"a": 2})
    copier = Copier(shares_files=True)
    pickled = Pickled(things, copier.pickle(things), copier.buffers, copier.kept)
    stand_ins = [PickledThing(pickled, position) for position in range(2)]
    assert pickle.loads(pickle.dumps(stand_ins)) == [*things]
