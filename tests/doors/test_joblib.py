"""joblib's calls on our workers: as users of joblib know it, and better where it hurts."""

from __future__ import annotations

import doctest
import multiprocessing
import os
import signal
import tempfile
import threading
import time
import warnings
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from traceback import format_exception

import joblib
import numpy as np
import pytest
from joblib import Parallel, delayed

import allcores
import allcores.joblib
from allcores._doors.joblib import kept
from allcores._doors.joblib.kept import keeper

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def allcores_is_the_backend():
    with joblib.parallel_config("allcores", n_jobs=2):
        yield
    keeper.close()


def square(number):
    return number * number


def meet(folder, at, count):
    Path(folder, str(at)).touch()
    while len(os.listdir(folder)) < count:
        time.sleep(0.001)
    return os.getpid()


def pids(parallel=None, *, n_jobs=2, **options):
    """Give the processes of as many calls as there are workers, each waiting for the others."""
    parallel = parallel or Parallel(batch_size=1, n_jobs=n_jobs, **options)
    with tempfile.TemporaryDirectory() as folder:
        return set(parallel(delayed(meet)(folder, at, n_jobs) for at in range(n_jobs)))


def environment(name):
    return os.environ.get(name)


def die_at(number, fatal):
    if number == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fail_at(number, fatal):
    if number == fatal:
        raise_from_below(number)
    time.sleep(0.001)
    return number


def raise_from_below(number):
    try:
        {}["below"]
    except KeyError as error:
        raise ValueError(f"not {number}") from error


# ---------------------------------------------------------------------------------------------------------- calls


def test_results_come_in_order():
    for batch_size in ("auto", 1, 7):
        results = Parallel(batch_size=batch_size)(delayed(square)(number) for number in range(200))
        assert results == [number * number for number in range(200)]


def test_results_come_one_by_one():
    for return_as in ("generator", "generator_unordered"):
        results = Parallel(return_as=return_as)(delayed(square)(number) for number in range(20))
        first = next(results)
        assert sorted([first, *results]) == [number * number for number in range(20)]


def test_calls_run_in_other_processes_than_this():
    assert os.getpid() not in pids()
    with joblib.parallel_config("threading"):
        assert os.getpid() not in pids(backend="allcores")


def test_lambdas_and_closures_will_do():
    offset = 5
    assert Parallel()(delayed(lambda number: number + offset)(number) for number in range(4)) == [5, 6, 7, 8]


def test_one_job_runs_here():
    assert pids(n_jobs=1) == {os.getpid()}


@pytest.mark.parametrize(("asked", "given"), [(None, 1), (3, 3), (-1, 5), (-2, 4), (-9, 1)])
def test_jobs_are_counted_by_usable_cores(asked, given, monkeypatch):
    monkeypatch.setattr("allcores._doors.joblib.backend.usable_cores", lambda: 5)
    assert allcores.joblib.AllcoresBackend().effective_n_jobs(asked) == given


@pytest.mark.parametrize(("limit", "given"), [("2", 2), ("9", 5)])
def test_the_variable_of_joblibs_own_bounds_the_cores(limit, given, monkeypatch):
    monkeypatch.setattr("allcores._doors.joblib.backend.usable_cores", lambda: 5)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", limit)
    assert allcores.joblib.AllcoresBackend().effective_n_jobs(-1) == given


def test_the_example_runs():
    failed, attempted = doctest.testmod(allcores.joblib)
    assert attempted
    assert not failed


def test_no_jobs_make_no_sense():
    with pytest.raises(ValueError, match="n_jobs == 0"):
        Parallel(n_jobs=0)([])


@pytest.mark.parametrize("name", ["timeout", "on", "workers", "errors"])
def test_an_option_that_joblib_has_is_refused_by_the_name_that_it_has_there(name):
    with (
        joblib.parallel_config("allcores", n_jobs=2, **{name: 1}),
        pytest.raises(ValueError, match=r"is not an option of joblib's backend: .* has it"),
    ):
        Parallel()(delayed(square)(number) for number in range(4))


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="did you mean 'retries'"):
        Parallel(retrys=1)(delayed(square)(number) for number in range(4))


def test_options_of_other_backends_do_no_harm(tmp_path):
    options = {"max_nbytes": "1K", "mmap_mode": "r", "temp_folder": tmp_path, "idle_worker_timeout": 5}
    assert Parallel(**options)(delayed(square)(number) for number in range(4)) == [0, 1, 4, 9]
    assert list(tmp_path.iterdir()) == []


def test_workers_start_clean_though_joblib_settles_how_multiprocessing_starts_them():
    Parallel()(delayed(square)(number) for number in range(4))
    assert keeper._latest.service.plan.start == "forkserver"


# --------------------------------------------------------------------------------------------------------- failures


def test_the_original_exception_tells_where_it_was_raised():
    with pytest.raises(ValueError, match="not 5") as caught:
        Parallel()(delayed(fail_at)(number, 5) for number in range(20))
    told = "".join(format_exception(caught.value))
    assert "in raise_from_below" in told
    assert "KeyError: 'below'" in told
    assert "from fail_at with (5, 5)" in told


def test_nothing_is_left_of_a_call_that_failed():
    with Parallel() as parallel:
        for _ in range(20):
            with pytest.raises(ValueError, match="not 5"):
                parallel(delayed(fail_at)(number, 5) for number in range(20))
            assert parallel(delayed(square)(number) for number in range(4)) == [0, 1, 4, 9]


def test_an_error_ends_what_runs(tmp_path, outliving):
    """Or `leaves_nothing` would find workers asleep."""

    def sleep_or_fail(number):
        if number:
            (tmp_path / "sleeper").write_text(str(os.getpid()))
            signal.pause()
        while not (tmp_path / "sleeper").exists():
            time.sleep(0.001)
        raise ValueError("awake")

    with pytest.raises(ValueError, match="awake"):
        Parallel(batch_size=1)(delayed(sleep_or_fail)(number) for number in range(2))
    assert outliving([int((tmp_path / "sleeper").read_text())]) == set()


def test_a_worker_that_dies_ends_only_its_call():
    with pytest.raises(allcores.WorkerDied, match="SIGKILL") as caught:
        Parallel()(delayed(die_at)(number, 3) for number in range(8))
    assert isinstance(caught.value, BrokenProcessPool)
    assert Parallel()(delayed(square)(number) for number in range(4)) == [0, 1, 4, 9]


def test_a_timeout_ends_what_runs():
    with pytest.raises(multiprocessing.TimeoutError):
        Parallel(timeout=0.1)(delayed(signal.pause)() for _ in range(2))
    assert Parallel()(delayed(square)(number) for number in range(4)) == [0, 1, 4, 9]


def test_an_exception_of_the_input_is_raised():
    def numbers():
        yield from range(30)
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        Parallel()(delayed(square)(number) for number in numbers())


def test_an_argument_that_cannot_travel_is_named():
    with pytest.raises(allcores.UnpicklableItem, match="lock"):
        Parallel()(delayed(square)(threading.Lock()) for _ in range(4))


def test_a_generator_that_is_dropped_leaves_others_alone():
    dropped = Parallel(return_as="generator")(delayed(time.sleep)(0.01 * number) for number in range(1000))
    kept_one = Parallel(return_as="generator")(delayed(square)(number) for number in range(40))
    next(dropped)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joblib's, that results are lost
        del dropped
    assert list(kept_one) == [number * number for number in range(40)]


# ---------------------------------------------------------------------------------------------------------- workers


def test_the_next_call_has_the_same_workers():
    assert len(pids() | pids() | pids()) == 2


def test_other_options_have_other_workers():
    assert not pids() & pids(recycle=1000)


def test_workers_see_the_environment_as_it_is_now(monkeypatch):
    for value in ("one", "two"):
        monkeypatch.setenv("ALLCORES_TEST", value)
        assert set(Parallel()(delayed(environment)("ALLCORES_TEST") for _ in range(4))) == {value}


def test_workers_are_where_the_caller_is_now(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert set(Parallel()(delayed(os.getcwd)() for _ in range(4))) == {str(tmp_path / name)}


def test_workers_leave_when_nobody_needs_them(monkeypatch, outliving):
    monkeypatch.setattr(kept, "IDLE_SECONDS", 0.01)
    assert outliving(pids()) == set()


def test_a_call_keeps_its_workers_while_one_with_other_options_is_done():
    with Parallel(batch_size=1) as parallel:
        before = pids(parallel)
        assert not before & pids(n_jobs=3)
        assert pids(parallel) == before


def test_the_input_of_a_call_may_make_calls_itself():
    def numbers():
        for number in range(30):
            yield from Parallel()(delayed(square)(at) for at in (number, number))

    assert sum(Parallel()(delayed(square)(number) for number in numbers())) == 2 * sum(n**4 for n in range(30))


def test_threads_share_workers():
    found: list[set[int]] = []

    def run():
        found.append(set(Parallel(n_jobs=2, backend="allcores")(delayed(os.getpid)() for _ in range(20))))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set.union(*found)) <= 2


def test_a_forked_child_has_workers_of_its_own():
    ours = pids()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads
        child = os.fork()
    if not child:
        try:
            theirs = pids()
            keeper.close()
            os._exit(0 if len(theirs) == 2 and not theirs & ours else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert pids() == ours


def test_an_initializer_runs_once_in_each_worker(tmp_path):
    def leave_a_mark(folder):
        (folder / f"{os.getpid()}-{time.monotonic_ns()}").touch()

    for _ in range(3):
        found = pids(initializer=leave_a_mark, initargs=(tmp_path,))
    assert sorted(int(mark.name.partition("-")[0]) for mark in tmp_path.iterdir()) == sorted(found)


def refuse():
    raise LookupError("no licence")


def test_an_initializer_that_fails_ends_the_call_and_no_other():
    with pytest.raises(BrokenProcessPool, match="no licence"):
        Parallel(initializer=refuse)(delayed(square)(number) for number in range(4))
    assert Parallel()(delayed(square)(number) for number in range(4)) == [0, 1, 4, 9]


def test_retries_are_of_batches(tmp_path):
    def fail_first(number):
        mark = tmp_path / str(number)
        if not mark.exists():
            mark.touch()
            raise ValueError("first try")
        return number

    assert Parallel(retries=1)(delayed(fail_first)(number) for number in range(4)) == [0, 1, 2, 3]


def test_a_program_ends_with_a_generator_unread(run_python):
    run_python(
        """
import allcores.joblib, joblib, time
results = joblib.Parallel(2, backend="allcores", return_as="generator")(joblib.delayed(time.sleep)(60) for _ in "ab")
""",
        warnings="ignore",
    )


# ---------------------------------------------------------------------------------------------------------- nesting


def nested(backend, level=2):
    here = type(Parallel(n_jobs=2)._backend).__name__
    if not level:
        return [here]
    (below,) = Parallel(n_jobs=2, backend=backend)([delayed(nested)(backend, level - 1)])
    return [here, *below]


def test_calls_nest_in_threads_and_then_not_at_all():
    (found,) = Parallel()([delayed(nested)(None)])
    assert found == ["ThreadingBackend", "SequentialBackend", "SequentialBackend"]


def squares_below(backend):
    return Parallel(n_jobs=2, backend=backend)(delayed(square)(number) for number in range(3))


@pytest.mark.parametrize("outer", ["allcores", "threading"])
def test_calls_may_nest_in_processes(outer):
    with joblib.parallel_config(outer, n_jobs=2):
        assert Parallel()(delayed(squares_below)("allcores") for _ in range(2)) == [[0, 1, 4]] * 2


def test_a_worker_has_its_share_of_the_cores(monkeypatch):
    monkeypatch.setenv("ALLCORES_WORKERS", "4")
    for count in (joblib.cpu_count, joblib.effective_n_jobs):
        assert set(Parallel()(delayed(count)() for _ in range(4))) <= {1, 2}


# ---------------------------------------------------------------------------------------------------------- threads


def blas_threads():
    import threadpoolctl

    np.dot(np.ones((50, 50)), np.ones((50, 50)))
    return {library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"}


@pytest.mark.parametrize("start", ["forkserver", "fork"])
def test_inner_threads_are_bounded_wherever_the_library_was_loaded(start):
    blas_threads()  # here, and so in forked workers
    with joblib.parallel_config("allcores", n_jobs=2, inner_max_num_threads=3, start=start):
        found = Parallel()(delayed(blas_threads)() for _ in range(4))
        variables = Parallel()(delayed(environment)("OMP_NUM_THREADS") for _ in range(4))
    assert set.union(*found) == {3}
    assert set(variables) == {"3"}


def test_inner_threads_are_the_workers_share_of_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("ALLCORES_WORKERS", "1")
    assert set(Parallel()(delayed(environment)("OMP_NUM_THREADS") for _ in range(4))) == {"1"}


def test_inner_threads_are_what_the_user_has_set_in_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert set(Parallel()(delayed(environment)("OMP_NUM_THREADS") for _ in range(4))) == {"7"}


# ----------------------------------------------------------------------------------------------------------- arrays


def zero(array):
    array[:] = 0
    return array


def test_a_call_whose_input_waits_holds_up_no_other():
    """Its input goes on when the other call is done, and that one begins when the input waits."""
    waits, is_done = threading.Event(), threading.Event()

    def numbers():
        yield from range(10)
        waits.set()
        yield int(is_done.wait(20))

    first = Parallel(return_as="generator", pre_dispatch=2)(delayed(square)(number) for number in numbers())
    assert waits.wait(20)
    assert Parallel()(delayed(square)(number) for number in range(4)) == [0, 1, 4, 9]
    is_done.set()
    assert list(first)[-1] == 1


def test_large_arrays_may_be_written_to():
    array = np.ones(1_000_000)
    results = Parallel()(delayed(zero)(array) for _ in range(4))
    assert not any(result.any() for result in results)
    assert all(result.flags.writeable for result in results)
    assert array.all(), "what a worker writes stays there"


def fill(rows, at):
    rows[at] = at


def test_workers_write_to_an_array_of_a_file(tmp_path):
    rows = np.memmap(tmp_path / "rows", dtype="f8", mode="w+", shape=(6, 10))
    Parallel()(delayed(fill)(rows, at) for at in range(6))
    assert rows[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


# ----------------------------------------------------------------------------------------------------- scikit-learn


@pytest.fixture(scope="module")
def sklearn():
    return pytest.importorskip("sklearn")


def digits():
    from sklearn.datasets import load_digits

    numbers, labels = load_digits(return_X_y=True)
    return numbers[:300], labels[:300]


def search(n_jobs):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GridSearchCV

    forest = RandomForestClassifier(random_state=0, n_jobs=n_jobs)
    found = GridSearchCV(forest, {"n_estimators": [5, 20]}, cv=2, n_jobs=n_jobs).fit(*digits())
    return found.best_params_, found.cv_results_["mean_test_score"].tolist()


def score(n_jobs):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression())
    return cross_val_score(model, *digits(), cv=3, n_jobs=n_jobs).tolist()


def grow(n_jobs):
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(20, random_state=0, n_jobs=n_jobs).fit(*digits())
    return forest.predict_proba(digits()[0]).tolist()


def test_scikit_learn_finds_what_it_finds_in_a_loop(sklearn):
    """A search of forests that are grown in parallel themselves, scores, a forest; and a model that fails."""
    from sklearn.model_selection import cross_val_score
    from sklearn.svm import SVC

    for compute in (search, score, grow):
        assert compute(2) == compute(1)
    with pytest.raises(ValueError, match="fits failed"):
        cross_val_score(SVC(kernel="no such"), *digits(), cv=3, n_jobs=2)
