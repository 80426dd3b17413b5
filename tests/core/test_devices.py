"""Which accelerators a run hands out, and how they are divided."""

from __future__ import annotations

from typing import Any

import pytest

from allcores._core.devices import choose_devices, hand_out
from allcores._core.options import Options
from allcores._core.plan import Facts, make_plan

FACTS = Facts(cores=6, cores_bound="this test", can_fork=True, fork_hazard=None, can_start_clean=True)


def choose(present: tuple[str, ...] | None, **options: Any) -> tuple[str, ...]:
    return choose_devices(Options(**options), present)


def test_nothing_is_handed_out_unless_asked_for() -> None:
    assert choose(("0", "1")) == ()
    assert make_plan(Options(), FACTS).devices == ()


def test_all_that_are_there_or_those_that_are_named() -> None:
    assert choose(("0", "1"), devices="cuda") == ("0", "1")
    assert choose(("0", "1"), devices=[1]) == ("1",)
    assert choose(("4", "7"), devices=("GPU-12ab",)) == ("GPU-12ab",)
    assert choose(None, devices=[3, "MIG-5"]) == ("3", "MIG-5")


@pytest.mark.parametrize("present", [None, ()])
def test_none_that_could_be_handed_out(present: tuple[str, ...] | None) -> None:
    with pytest.raises(ValueError, match="there is no such device here"):
        choose(present, devices="cuda")


def test_what_is_not_there_is_refused_by_its_number() -> None:
    with pytest.raises(ValueError, match=r"devices: 2, 5 cannot be used here; there are 0, 1"):
        choose(("0", "1"), devices=[0, 2, 5])


def test_only_processes_that_start_clean_can_have_them() -> None:
    with pytest.raises(ValueError, match="needs workers that are processes"):
        choose(("0",), devices=[0], on="threads")
    with pytest.raises(ValueError, match="needs workers that start clean"):
        choose(("0",), devices=[0], start="fork")
    assert choose(("0",), devices=[0], on="serial") == ()


def test_workers_start_clean_and_are_as_many_as_devices() -> None:
    plan = make_plan(Options(devices=[0, 1, 2]), FACTS)
    assert (plan.start, plan.workers, plan.workers_reason) == ("forkserver", 3, "one for each device")
    assert plan.devices == (("0",), ("1",), ("2",))
    assert "devices, for each worker: 0; 1; 2" in str(plan)
    assert make_plan(Options(devices=[0], start="spawn"), FACTS).start == "spawn"


def test_a_program_that_can_start_none_clean_is_told() -> None:
    with pytest.raises(RuntimeError, match=r"devices=\('0',\) is not possible: frozen"):
        make_plan(Options(devices=[0]), FACTS._replace(clean_hazard="frozen"))


@pytest.mark.parametrize("devices", range(1, 9))
@pytest.mark.parametrize("workers", range(1, 9))
def test_they_are_divided_evenly(devices: int, workers: int) -> None:
    names = [str(number) for number in range(devices)]
    groups = hand_out(names, workers)
    assert len(groups) == workers
    assert {name for group in groups for name in group} == set(names)
    users = [sum(name in group for group in groups) for name in names]
    sizes = [len(group) for group in groups]
    assert max(users) - min(users) <= 1
    assert max(sizes) - min(sizes) <= 1
    assert 1 in {*users} or min(users) > 1  # a device is shared only where there are more workers
    assert workers > devices or set(users) == {1}
