"""How many threads native libraries may use: who says so, and who is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest

from allcores._system import native_threads
from allcores._system.native_threads import (
    VARIABLES,
    NativeLimits,
    SharedLimit,
    find_limits,
    limit_process,
    loaded_pools,
    set_by_user,
)


class FakePool:
    """A library's threads; what it is told is written down."""

    def __init__(self, internal_api: str, num_threads: int, user_api: str = "blas") -> None:
        self.internal_api = internal_api
        self.user_api = user_api
        self.num_threads = num_threads
        self.told: list[int] = []

    def set_num_threads(self, num_threads: int) -> None:
        self.num_threads = num_threads
        self.told.append(num_threads)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(native_threads, "_ours", {})
    yield
    for name in VARIABLES:
        os.environ.pop(name, None)


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[FakePool]:
    """What is loaded; empty until a test fills it."""
    loaded: list[FakePool] = []
    monkeypatch.setattr(native_threads, "loaded_pools", lambda **_: list(loaded))
    return loaded


# ---------------------------------------------------------------------------------------------------- who says so


def test_each_library_gets_the_number(pools: list[FakePool]) -> None:
    limits = find_limits(3, ())
    assert limits.variables == dict.fromkeys(VARIABLES, "3")
    assert (limits.usual, limits.numbers) == (3, {})


def test_none_leaves_all_alone(pools: list[FakePool]) -> None:
    pools.append(FakePool("openblas", 8))
    limit_process(find_limits(None, ()))
    assert pools[0].told == []
    assert not any(name in os.environ for name in VARIABLES)


def test_what_the_user_has_set_stays(pools: list[FakePool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    limits = find_limits(1, set_by_user().items())
    assert "MKL_NUM_THREADS" not in limits.variables
    assert limits.numbers == {"mkl": 5}
    assert limits.variables["OMP_NUM_THREADS"] == "1"


def test_the_variable_of_openmp_is_heeded_by_those_that_have_none_of_their_own(
    pools: list[FakePool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    limits = find_limits(1, set_by_user().items())
    assert limits.numbers["openmp"] == limits.numbers["mkl"] == limits.numbers["torch"] == 4
    assert limits.numbers["openblas"] == 2
    assert set(limits.variables) == {
        "VECLIB_MAXIMUM_THREADS",
        "NUMBA_NUM_THREADS",
        "POLARS_MAX_THREADS",
        "RAYON_NUM_THREADS",
    }


@pytest.mark.parametrize("value", ["", "4,2", "many"])
def test_a_value_that_is_no_number_is_for_the_library_itself(
    value: str, pools: list[FakePool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    limits = find_limits(1, set_by_user().items())
    assert "OMP_NUM_THREADS" not in limits.variables
    assert limits.numbers == {}


def test_a_library_that_was_told_to_use_fewer_keeps_that(pools: list[FakePool]) -> None:
    pools += [FakePool("openblas", 2), FakePool("openmp", 16, "openmp")]
    limits = find_limits(4, ())
    assert limits.numbers == {"openblas": 2}
    assert (limits.variables["OPENBLAS_NUM_THREADS"], limits.variables["OMP_NUM_THREADS"]) == ("2", "4")
    assert find_limits(4, is_asked=True).numbers == {}


def test_what_an_outer_run_has_set_is_not_the_users(pools: list[FakePool]) -> None:
    limit_process(find_limits(3, ()))
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert set_by_user() == {}
    os.environ["OMP_NUM_THREADS"] = "7"
    assert set_by_user() == {"OMP_NUM_THREADS": "7"}


# ----------------------------------------------------------------------------------------------------- who is told


def test_a_process_is_bounded_for_what_is_loaded_and_for_what_is_yet_to_be(pools: list[FakePool]) -> None:
    pools += [FakePool("openblas", 8), FakePool("mkl", 8)]
    limit_process(NativeLimits({"OMP_NUM_THREADS": "2"}, 2, {"mkl": 5}))
    assert [pool.num_threads for pool in pools] == [2, 5]
    assert os.environ["OMP_NUM_THREADS"] == "2"


def test_a_warm_process_gets_more_again_and_loses_what_is_no_longer_said(pools: list[FakePool]) -> None:
    pools.append(FakePool("openblas", 8))
    limit_process(NativeLimits({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}, 1, {}))
    os.environ["MKL_NUM_THREADS"] = "9"  # by an item
    limit_process(NativeLimits({"OMP_NUM_THREADS": "4"}, 4, {}))
    assert pools[0].told == [1, 4]
    assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ("4", "9")
    limit_process(NativeLimits({}, None, {}))
    assert "OMP_NUM_THREADS" not in os.environ


def test_runs_in_threads_share_the_least_limit_until_each_has_ended(pools: list[FakePool]) -> None:
    pools.append(FakePool("openblas", 8))
    first, second = SharedLimit(NativeLimits({}, 4, {})), SharedLimit(NativeLimits({}, 2, {}))
    assert pools[0].num_threads == 2
    second.end()
    assert pools[0].num_threads == 4
    first.end()
    first.end()
    assert pools[0].num_threads == 8


def test_a_library_that_is_found_anew_by_the_second_run_is_the_same_one(
    pools: list[FakePool], monkeypatch: pytest.MonkeyPatch
) -> None:
    class View(FakePool):
        """Another object for the same library."""

        @property
        def num_threads(self) -> int:
            return numbers[0]

        @num_threads.setter
        def num_threads(self, number: int) -> None:
            numbers[0] = number

    numbers = [8]
    monkeypatch.setattr(native_threads, "loaded_pools", lambda **_: [View("torch", numbers[0], "module")])
    first, second = SharedLimit(NativeLimits({}, 4, {})), SharedLimit(NativeLimits({}, 2, {}))
    first.end()
    assert numbers == [2]
    second.end()
    assert numbers == [8]


def test_a_shared_limit_never_gives_more_than_there_was(pools: list[FakePool]) -> None:
    pools.append(FakePool("openblas", 2))
    limit = SharedLimit(find_limits(4))
    limit.end()
    assert pools[0].told == []


def test_openmp_counts_for_each_thread_by_itself(pools: list[FakePool]) -> None:
    pools += [FakePool("openblas", 8), FakePool("openmp", 8, "openmp")]
    limit = SharedLimit(NativeLimits({}, 3, {}))
    assert [pool.told for pool in pools] == [[3], []]
    undo = limit.begin_thread()
    assert pools[1].told == [3]
    undo()
    assert pools[1].told == [3, 8]
    limit.end()


# ------------------------------------------------------------------------------------------------- what is loaded


def test_libraries_of_python_are_told_by_their_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    class Torch(ModuleType):
        count = 8

        def get_num_threads(self) -> int:
            return self.count

        def set_num_threads(self, count: int) -> None:
            self.count = count

    torch = Torch("torch")
    monkeypatch.setitem(sys.modules, "torch", torch)
    found = {pool.internal_api: pool for pool in loaded_pools()}
    found["torch"].set_num_threads(2)
    assert (found["torch"].num_threads, torch.count) == (2, 2)


class FakeNumba(ModuleType):
    """As numba is: to ask it for its threads begins them, and then its variable must stay as it was."""

    def __init__(self) -> None:
        super().__init__("numba")
        self.config = SimpleNamespace(NUMBA_NUM_THREADS=8)
        self.parallel = SimpleNamespace(_is_initialized=False)
        self.mask = 8

    def get_num_threads(self) -> int:
        self.parallel._is_initialized = True
        return self.mask

    def set_num_threads(self, count: int) -> None:
        self.parallel._is_initialized = True
        assert count <= self.config.NUMBA_NUM_THREADS
        self.mask = count

    def compile(self) -> None:
        number = int(os.environ.get("NUMBA_NUM_THREADS", "8"))
        assert number == self.config.NUMBA_NUM_THREADS or not self.parallel._is_initialized
        self.config.NUMBA_NUM_THREADS = number


@pytest.fixture
def numba(monkeypatch: pytest.MonkeyPatch) -> FakeNumba:
    fake = FakeNumba()
    monkeypatch.setattr(native_threads, "_native_pools", list)  # this process's own are not to be told
    monkeypatch.setitem(sys.modules, "numba", fake)
    monkeypatch.setitem(sys.modules, "numba.np.ufunc.parallel", fake.parallel)
    return fake


def test_numba_is_not_made_to_begin_its_threads(numba: FakeNumba) -> None:
    assert "numba" not in find_limits(4).numbers
    limit_process(find_limits(2))
    numba.compile()
    assert (numba.config.NUMBA_NUM_THREADS, numba.parallel._is_initialized) == (2, False)


def test_numba_that_has_begun_is_masked_and_goes_on_compiling(numba: FakeNumba) -> None:
    numba.get_num_threads()
    for count, mask in ((1, 1), (4, 4), (16, 8)):
        limit_process(find_limits(count, is_asked=True))
        numba.compile()
        assert numba.mask == mask
    assert os.environ["NUMBA_NUM_THREADS"] == "8"


def test_where_nothing_is_loaded_nothing_is_imported(run_python) -> None:
    program = (
        "import sys; from allcores._system.native_threads import loaded_pools\n"
        "assert loaded_pools() == []; assert 'threadpoolctl' not in sys.modules"
    )
    run_python(program)


def test_a_library_that_is_loaded_later_is_found(run_python) -> None:
    pytest.importorskip("numpy", reason="NumPy is not installed")
    program = """
from allcores._system.native_threads import loaded_pools
assert loaded_pools() == []
import numpy
assert [pool.user_api for pool in loaded_pools()] == ["blas"]
assert loaded_pools()[0] is loaded_pools()[0]
"""
    run_python(program)


def test_numba_in_a_thread_is_masked_there_and_nothing_lasts(numba: FakeNumba) -> None:
    limit = SharedLimit(NativeLimits({}, 2, {}))
    most = numba.config.NUMBA_NUM_THREADS
    undo = limit.begin_thread()
    assert (numba.mask, numba.config.NUMBA_NUM_THREADS) == (2, most)
    undo()
    limit.end()
    assert (numba.mask, numba.config.NUMBA_NUM_THREADS) == (most, most)
    more = SharedLimit(NativeLimits({}, 100, {}))
    more.begin_thread()
    more.end()
    assert numba.mask == most


def test_a_forked_process_looks_no_more_unless_modules_have_come(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    for fact in ("_seen", "_seen_modules"):
        monkeypatch.setattr(native_threads, fact, getattr(native_threads, fact))  # put back at the end
    monkeypatch.setattr(native_threads, "_count_names", lambda: looks.append(1) or (0,))
    loaded_pools()
    loaded_pools(is_just_forked=True)
    assert len(looks) == 1
    monkeypatch.setitem(sys.modules, "a_module_that_has_come", ModuleType("a_module_that_has_come"))
    loaded_pools(is_just_forked=True)
    assert len(looks) == 2
