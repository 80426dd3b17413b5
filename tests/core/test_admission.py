"""How many workers may run items at once while memory is short: on a machine that is simulated."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allcores._core.admission import COMFORT, FADING, RESERVE, Admission

pytestmark = pytest.mark.once

GB = 10**9
TOTAL = 16 * GB


@dataclass
class Item:
    """An item that grows to `need` bytes over the first half of its `life`, which is in steps."""

    need: int
    life: int = 10
    age: int = 0

    @property
    def used(self) -> int:
        return min(self.need, self.need * 2 * self.age // self.life)


@dataclass
class Machine:
    """A machine whose kernel kills the largest worker when memory has run out; the item then runs again."""

    items: list[Item]
    workers: int
    total: int = TOTAL
    others: int = 0  # bytes that other programs use
    running: list[Item] = field(default_factory=list)
    kills: int = 0

    def __post_init__(self) -> None:
        self.admission = Admission(workers=self.workers)

    @property
    def free(self) -> int:
        return self.total - self.others - sum(item.used for item in self.running)

    def step(self) -> int:
        """Go on for a moment, and give how many ran in it."""
        self._let_in()
        width = len(self.running)
        for item in self.running:
            item.age += 1
        self._kill()
        self._finish()
        self.admission.observe(
            free=self.free, total=self.total, used=[item.used for item in self.running], running=len(self.running)
        )
        return width

    def _let_in(self) -> None:
        limit = self.admission.limit or self.workers
        while self.items and len(self.running) < limit:
            self.running.append(self.items.pop(0))

    def _kill(self) -> None:
        while self.free < 0:
            victim = max(self.running, key=lambda item: item.used)
            self.running.remove(victim)
            self.items.insert(0, Item(victim.need, victim.life))
            self.admission.observe_kill(victim.used)
            self.kills += 1

    def _finish(self) -> None:
        for item in [item for item in self.running if item.age >= item.life]:
            self.running.remove(item)
            self.admission.observe_peak(item.used)

    def run(self) -> Iterator[int]:
        """Give how many run in each step, until nothing is left."""
        while self.items or self.running:
            yield self.step()

    def run_first_wave(self) -> None:
        """Step until every item that began at once has finished or was killed."""
        self.step()
        first = list(self.running)
        while any(item is other for item in first for other in self.running):
            self.step()


def same(need: int, count: int = 1000) -> list[Item]:
    return [Item(need) for _ in range(count)]


# ------------------------------------------------------------------------------------------------------- simulated runs


@pytest.mark.parametrize("need", [GB // 2, GB, 2 * GB, 3 * GB, 5 * GB, 9 * GB, 15 * GB])
@pytest.mark.parametrize("workers", [2, 8, 64])
def test_after_the_first_wave_nothing_is_killed_and_as_many_run_as_fit(need: int, workers: int) -> None:
    machine = Machine(same(need), workers)
    machine.run_first_wave()
    kills = machine.kills
    widths = list(machine.run())
    fit = max(1, int(TOTAL * (1 - RESERVE)) // need)
    assert machine.kills == kills
    assert max(widths) == min(fit, workers)
    assert sum(widths) / len(widths) > 0.8 * max(widths), "and they do so most of the time"


@pytest.mark.parametrize("seed", range(20))
def test_items_of_uneven_size_and_length_are_hardly_ever_killed(seed: int) -> None:
    chance = random.Random(seed)
    items = [Item(chance.randint(GB, 3 * GB), chance.randint(5, 50)) for _ in range(500)]
    machine = Machine(items, workers=16)
    machine.run_first_wave()
    kills = machine.kills
    widths = list(machine.run())
    assert machine.kills - kills <= 3
    assert sum(widths) / len(widths) >= 4


def test_what_others_use_is_not_handed_out() -> None:
    machine = Machine(same(GB), workers=16, others=8 * GB)
    machine.run_first_wave()
    assert max(machine.run()) == 6  # of the 8 GB less the reserve


def test_when_items_become_small_all_workers_run_again() -> None:
    machine = Machine(same(3 * GB, 100) + same(GB // 10, 200), workers=8)
    limits = [(machine.admission.limit, width) for width in machine.run()]
    assert (4, 4) in limits
    assert limits[-20] == (None, 8)


def test_one_large_item_does_not_hold_up_the_small_ones_beside_it() -> None:
    machine = Machine([Item(10 * GB, life=1000), *same(GB // 10, 5000)], workers=8, others=3 * GB)
    assert {machine.step() for _ in range(500)} == {8}
    assert machine.kills == 0


def test_a_large_item_that_was_killed_among_small_ones_runs_again_with_fewer_beside_it() -> None:
    machine = Machine([*same(2 * GB, 4), Item(10 * GB), *same(2 * GB, 200)], workers=5)
    widths = list(machine.run())
    assert machine.kills == 1
    assert {1, 5} <= set(widths)


def test_when_items_become_large_fewer_run() -> None:
    machine = Machine(same(GB // 10, 80) + same(3 * GB, 100), workers=8)
    widths = list(machine.run())
    assert (widths[0], widths[len(widths) // 2]) == (8, 4)


def test_the_limit_does_not_flap_where_just_not_all_fit() -> None:
    chance = random.Random(0)
    machine = Machine([Item(chance.randint(180, 190) * GB // 100) for _ in range(400)], workers=8)
    machine.run_first_wave()
    limits = [machine.admission.limit for _ in machine.run()]
    assert set(limits) == {7, 8}


def test_small_items_are_not_held_up_on_a_machine_that_others_have_nearly_filled() -> None:
    machine = Machine(same(GB // 100), workers=8, others=15 * GB)
    assert machine.free < RESERVE * TOTAL
    assert min(list(machine.run())[:-10]) == 8
    assert machine.admission.limit is None


# --------------------------------------------------------------------------------------------------------------- limits


def test_before_anything_is_known_there_is_no_limit() -> None:
    assert Admission(workers=8).limit is None


def test_an_item_larger_than_the_machine_runs_alone() -> None:
    admission = Admission(workers=8)
    admission.observe_peak(20 * GB)
    admission.observe(free=GB, total=TOTAL, used=[5 * GB] * 3, running=3)
    assert admission.limit == 1


def test_more_are_let_in_one_by_one() -> None:
    admission = Admission(workers=20)
    admission.observe_peak(GB)
    limits = []
    for free in (GB, 9 * GB, 9 * GB, 9 * GB):
        admission.observe(free=free, total=TOTAL, used=[GB] * 5, running=5)
        limits.append(admission.limit)
    assert limits == [4, 5, 6, 7]


def test_when_the_reserve_is_touched_fewer_may_run_than_do() -> None:
    admission = Admission(workers=8)
    admission.observe_peak(2 * GB)
    admission.observe(free=int(RESERVE * TOTAL) - 1, total=TOTAL, used=[2 * GB] * 5, running=5)
    assert admission.limit == 4


def test_there_is_no_limit_of_more_workers_than_there_are() -> None:
    admission = Admission(workers=6)
    admission.observe_peak(GB)
    for free in (GB, *[7 * GB // 2] * 5):
        admission.observe(free=free, total=TOTAL, used=[GB] * 5, running=5)
    assert admission.limit == 6


def test_before_an_item_has_finished_it_is_thought_to_need_what_the_largest_has() -> None:
    admission = Admission(workers=2)
    admission.observe(free=7 * GB, total=TOTAL, used=[9 * GB, 0], running=2)
    assert admission.limit == 1, "though much is free, as one more may take all of it"


def test_what_most_running_items_use_counts_before_they_have_finished() -> None:
    admission = Admission(workers=8)
    admission.observe_peak(GB // 10)
    admission.observe(free=4 * GB, total=TOTAL, used=[3 * GB] * 4, running=4)
    assert admission.limit == 4


def test_what_a_few_running_items_use_says_nothing_of_others() -> None:
    admission = Admission(workers=8)
    admission.observe_peak(GB // 10)
    admission.observe(free=3 * GB, total=TOTAL, used=[5 * GB] * 2 + [GB // 10] * 6, running=8)
    assert admission.limit is None


def test_what_a_large_item_uses_is_not_for_others() -> None:
    admission = Admission(workers=4)
    admission.observe_peak(GB)
    admission.observe(free=GB // 2, total=TOTAL, used=[10 * GB, GB, GB, GB], running=4)
    assert admission.limit == 3


def test_after_a_kill_there_is_a_limit_though_the_memory_is_free_again() -> None:
    admission = Admission(workers=8)
    admission.observe_kill(2 * GB)
    admission.observe(free=TOTAL, total=TOTAL, used=[], running=0)
    assert admission.limit == 7


def test_a_large_peak_fades_as_other_items_finish() -> None:
    admission = Admission(workers=2)
    admission.observe_peak(1000)
    for _ in range(5):
        admission.observe_peak(1)
    assert admission._peak == pytest.approx(1000 * FADING**5, abs=5)
    admission.observe_peak(2000)
    assert admission._peak == 2000


SIZES = st.integers(0, TOTAL)


@given(
    st.lists(st.tuples(SIZES, st.lists(SIZES, max_size=8), st.lists(SIZES, max_size=3), st.lists(SIZES, max_size=1)))
)
def test_whatever_happens_at_least_one_may_run_and_the_limit_rises_by_one(scenes) -> None:
    admission = Admission(workers=8)
    for free, used, peaks, kills in scenes:
        for peak in peaks:
            admission.observe_peak(peak)
        for kill in kills:
            admission.observe_kill(kill)
        before = len(used) if admission.limit is None else admission.limit
        admission.observe(free=free, total=TOTAL, used=used, running=len(used))
        assert admission.limit is None or 1 <= admission.limit <= min(8, before + 1)


@given(st.lists(st.tuples(st.integers(int(COMFORT * TOTAL) + GB, TOTAL), st.lists(st.integers(0, GB), max_size=100))))
def test_where_much_stays_free_there_is_never_a_limit(scenes) -> None:
    admission = Admission(workers=100)
    for free, sizes in scenes:
        for peak in sizes:
            admission.observe_peak(peak)
        admission.observe(free=free, total=TOTAL, used=sizes, running=len(sizes))
        assert admission.limit is None


def test_the_repr_is_a_status_line() -> None:
    admission = Admission(workers=8)
    assert repr(admission) == "<Admission: all 8 workers, 0 B per item>"
    admission.observe_peak(3 * GB)
    admission.observe(free=GB, total=TOTAL, used=[3 * GB] * 5, running=5)
    assert repr(admission) == "<Admission: 4 of 8 workers, 3 GB per item>"
