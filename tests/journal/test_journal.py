"""What was recorded is found again, whatever happened in between; what cannot be read is never taken for anything."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from allcores._codec.codec import encode_job
from allcores._core.errors import JournalDamaged, JournalError, JournalFull, JournalInUse, JournalMismatch
from allcores._journal import file as journal_file
from allcores._journal import recorder as recorder_module
from allcores._journal.failures import LostItem
from allcores._journal.journal import Journal
from allcores._journal.recorder import FLUSH_BYTES, FLUSH_SECONDS, Recorder
from allcores._objects.outcomes import Chance, Failure, WorkerIdentity
from allcores._worker.job import Job
from allcores.testing import FakeClock

pytestmark = pytest.mark.once

WORKER = WorkerIdentity(2, 4711, "host")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory, where there is one: here are hundreds of journals, each of which would wait for the disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        yield Path(folder)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.journal"


def begin(path: Path, **options: Any) -> Recorder:
    """Open a journal for a run."""
    defaults = {"function_digest": b"f" * 16, "function_name": "process_item", "job": [], "entropy": 5}
    return Recorder(path, **(defaults | {"is_seeded": False} | options))


@contextlib.contextmanager
def recording(path: Path, **options: Any) -> Iterator[Recorder]:
    recorder = begin(path, **options)
    try:
        yield recorder
    finally:
        recorder.close()


def record_values(path: Path, values: list[Any]) -> None:
    """Record a value for each of the items 0, 1, 2, …"""
    with recording(path) as recorder:
        recorder.recall(0, range(len(values)))
        for index, value in enumerate(values):
            recorder.record(index, value, 0.001, 1)


def recalled(path: Path, items: Any) -> dict[int, Any]:
    with recording(path) as recorder:
        return recorder.recall(0, items)


def fail(text: str) -> NoReturn:
    raise ValueError(text)


def failure_of(index: int, item: Any, text: str = "bad item", tries: int = 1) -> Failure:
    try:
        fail(text)
    except ValueError as error:
        return Failure(index, item, error, f"ValueError: {text}\n", WORKER, tries)


def query(path: Path, sql: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql).fetchall()


def snapshot(folder: Path) -> dict[str, str]:
    """Say what is in each file of a folder."""
    return {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in folder.iterdir()}


# ------------------------------------------------------------------------------------------------------------ values

VALUES = {
    "none": None,
    "nothing": b"",
    "text": "naïve",
    "nested": {"a": [1, (2.5, {3, 4})], None: [[[]]]},
    "64 KB": os.urandom(1 << 16),
    "50 MB": os.urandom(50_000_000),
    "small array": np.arange(10),
    "large array": np.arange(300_000.0).reshape(300, 1000),
    "columns of an array": np.arange(300_000).reshape(300, 1000)[:, ::2],
    "arrays": [np.arange(100_000), "between", np.zeros(0), np.ones((3, 50_000), dtype="f4")],
    "many texts": [str(number) for number in range(20_000)],
    "lambda": lambda x: x + 1,
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_what_it_was(path: Path, name: str):
    value = VALUES[name]
    record_values(path, [0, value, 2])
    again = recalled(path, range(3))
    assert list(again) == [0, 1, 2]
    assert type(again[1]) is type(value)
    if name == "lambda":
        assert again[1](1) == 2
    elif "array" in name:
        np.testing.assert_equal(again[1], value)
    else:
        assert again[1] == value
    assert [index for index, _ in Journal(path).results()] == [0, 1, 2]


@pytest.mark.parametrize("size", [10, 100_000])
def test_an_array_that_is_recalled_can_be_written_to(path: Path, size: int):
    record_values(path, [np.zeros(size)])
    array = recalled(path, range(1))[0]
    array += 1
    assert array.sum() == size


def test_large_frames_are_stored_in_pieces(path: Path, monkeypatch):
    monkeypatch.setattr(journal_file, "PIECE_BYTES", 100_000)
    value = [os.urandom(1_000_001), np.arange(50_000), np.arange(12_500)]
    record_values(path, [value])
    assert query(path, "SELECT count(*), max(length(data)) FROM pieces") == [(11 + 4 + 1, 100_000)]
    np.testing.assert_equal(recalled(path, range(1))[0], value)


@pytest.mark.parametrize("value", [[1, 2, 3], np.arange(100_000), np.arange(2_000_000)], ids=["list", "MB", "16 MB"])
def test_a_value_that_is_changed_later_is_recorded_as_it_was(path: Path, value: Any):
    with recording(path) as recorder:
        recorder.recall(0, range(1))
        recorder.record(0, value, 0.001, 1)
        value[0] = 99
    assert recalled(path, range(1))[0][0] != 99


class Unpicklable:
    def __reduce__(self):
        raise TypeError("never")


def test_a_value_that_cannot_be_pickled_is_counted_and_runs_again(path: Path):
    with recording(path) as recorder:
        recorder.recall(0, range(3))
        for index, value in enumerate(["a", Unpicklable(), "c"]):
            recorder.record(index, value, 0.001, 1)
        assert recorder.unrecorded == 1
    assert recalled(path, range(3)) == {0: "a", 2: "c"}


@contextlib.contextmanager
def passing_class(folder: Path) -> Iterator[type]:
    """Give a class that can be imported for a while."""
    (folder / "passing.py").write_text("class Passing: pass")
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("passing").Passing
    finally:
        del sys.modules["passing"]
        sys.path.remove(str(folder))
        (folder / "passing.py").unlink()


def test_a_value_whose_class_is_gone_is_named(path: Path, tmp_path: Path):
    with passing_class(tmp_path) as passing:
        record_values(path, ["a", passing()])
    with recording(path) as recorder:
        with pytest.raises(
            JournalDamaged, match=r"value of item 1 in .*journal .*'passing'.*moved or renamed"
        ) as caught:
            recorder.recall(0, range(2))
        assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    with pytest.raises(JournalDamaged, match="value of item 1 "):
        dict(Journal(path).results())


# ------------------------------------------------------------------------------------------------------------- items


def test_a_new_journal_recalls_nothing_and_a_second_run_what_the_first_recorded(path: Path):
    with recording(path) as recorder:
        assert recorder.recall(0, "abc") == {}
        assert recorder.recall(3, "def") == {}
        for index in (5, 1, 2):
            recorder.record(index, f"value {index}", 0.001, 1)
    with recording(path) as recorder:
        assert recorder.recall(0, "abcd") == {1: "value 1", 2: "value 2"}
        assert recorder.recall(4, "ef") == {5: "value 5"}


def test_what_a_run_recorded_is_not_recalled_in_it(path: Path):
    with recording(path) as recorder:
        recorder.recall(0, "ab")
        recorder.record(0, 1, 0.001, 1)
        recorder.flush()
        assert recorder.recall(2, "a") == {}, "the second 'a' is another item"


@pytest.mark.parametrize("seed", range(8))
def test_items_find_their_values_in_another_order_among_more_and_among_equal_ones(path: Path, seed: int):
    dice = random.Random(seed)
    recorded: set[tuple[int, int]] = set()  # (item, how many equal ones came before)
    items: list[int] = []
    for _ in range(4):
        items += dice.choices(range(40), k=30)
        dice.shuffle(items)
        with recording(path) as recorder:
            expected, seen, keys = {}, Counter(), {}
            for index, item in enumerate(items):
                keys[index] = item, seen[item]
                seen[item] += 1
                if keys[index] in recorded:
                    expected[index] = keys[index]
            found = {}
            for start in range(0, len(items), 7):
                found |= recorder.recall(start, items[start : start + 7])
            assert found == expected
            for index in dice.sample(sorted(set(keys) - set(found)), 15):
                recorder.record(index, keys[index], 0.001, 1)
                recorded.add(keys[index])
        assert Journal(path).finished == len(recorded)


def test_results_are_told_by_the_place_where_the_last_run_found_their_items(path: Path):
    record_values(path, list("abc"))
    assert recalled(path, [9, 8, 2, 1, 0]) == {2: "c", 3: "b", 4: "a"}
    assert list(Journal(path).results()) == [(2, "c"), (3, "b"), (4, "a")]


def test_an_item_without_a_digest_always_runs(path: Path):
    for _ in range(2):
        with recording(path) as recorder:
            assert recorder.recall(0, [Unpicklable(), Unpicklable()]) == {}
            assert recorder.unrecognised == 2
            recorder.record(0, "value", 0.001, 1)
            recorder.record_failure(failure_of(1, "item"), 0.001)
            assert recorder.due is None
    assert len(Journal(path)) == 0


def test_nothing_is_remembered_of_an_item_that_something_has_come_of(path: Path):
    record_values(path, list(range(100)))
    with recording(path) as recorder:
        recorder.recall(0, range(300))
        assert len(recorder._keys) == 200
        for index in range(100, 200):
            recorder.record(index, index, 0.001, 1)
            recorder.record_failure(failure_of(index + 100, index), 0.001)
        assert not recorder._keys


# ---------------------------------------------------------------------------------------------------------- failures


def test_a_failed_item_runs_again_and_its_failure_gives_way(path: Path):
    with recording(path) as recorder:
        recorder.recall(0, "ab")
        recorder.record_failure(failure_of(0, os.urandom(200_000)), 0.001)
        recorder.record_failure(failure_of(1, "b"), 0.001)
    assert (Journal(path).finished, Journal(path).failed) == (0, 2)
    assert query(path, "SELECT count(*) > 0 FROM pieces") == [(1,)]
    with recording(path) as recorder:
        assert recorder.recall(0, "ab") == {}
        recorder.record(0, "value", 0.001, 1)
    assert (Journal(path).finished, Journal(path).failed) == (1, 1)
    assert query(path, "SELECT count(*) FROM pieces") == [(0,)]
    assert recalled(path, "ab") == {0: "value"}


def test_a_failure_tells_all_that_it_told_in_its_run(path: Path):
    with recording(path) as recorder:
        recorder.recall(0, "abc")
        recorder.record_failure(failure_of(2, {"path": "c.png"}, "late", tries=3), 0.001)
        recorder.record_failure(failure_of(0, "a", "early"), 0.001)
    early, late = Journal(path).failures
    assert (early.index, early.item, str(early.exception), early.tries) == (0, "a", "early", 1)
    assert (late.index, late.item, str(late.exception), late.tries) == (2, {"path": "c.png"}, "late", 3)
    assert (late.traceback, late.worker, late.origin) == ("ValueError: late\n", WORKER, None)
    assert late.exception.__traceback__.tb_next.tb_frame.f_code.co_name == "fail"


def test_a_failure_can_be_run_again_with_the_job_and_the_random_numbers_of_its_run(path: Path):
    frames = encode_job(Job(lambda x: x * 2, False, False)).frames
    with recording(path, job=frames, entropy=7, is_seeded=True) as recorder:
        recorder.recall(0, "a")
        recorder.record_failure(failure_of(0, "a"), 0.001)
    with Journal(path) as journal:
        (failure,) = journal.failures
    assert failure.origin.chance == Chance(7, True)
    assert failure.origin.job().function(failure.item) == "aa"


def test_the_job_is_that_of_the_last_run(path: Path):
    for factor in (2, 3):
        frames = encode_job(Job(lambda x, factor=factor: x * factor, False, False)).frames
        with recording(path, job=frames) as recorder:
            recorder.recall(0, "a")
            recorder.record_failure(failure_of(0, "a"), 0.001)
    (failure,) = Journal(path).failures
    assert failure.origin.job().function("a") == "aaa"


def require_lost(path: Path, text: str) -> None:
    (failure,) = Journal(path).failures
    assert isinstance(failure.item, LostItem)
    assert repr(failure.item) == text
    with pytest.raises(ValueError, match=r"item 0 .* is lost"):
        failure.origin.job()
    assert str(failure.exception) == "bad item"


def test_a_failure_whose_item_cannot_be_pickled_tells_what_it_was(path: Path):
    item = Unpicklable()
    with recording(path, job=[b"a job"]) as recorder:
        recorder.recall(0, "a")
        recorder.record_failure(failure_of(0, item), 0.001)
    require_lost(path, repr(item))


def test_a_failure_whose_item_has_lost_its_class_tells_what_it_was(path: Path, tmp_path: Path):
    with passing_class(tmp_path) as passing, recording(path, job=[b"a job"]) as recorder:
        item = passing()
        recorder.recall(0, "a")
        recorder.record_failure(failure_of(0, item), 0.001)
    require_lost(path, repr(item))


# ----------------------------------------------------------------------------------------------------------- flushes


def test_what_is_pending_is_due_a_moment_after_the_last_commit(path: Path):
    clock = FakeClock(100.0)
    with recording(path, clock=clock) as recorder:
        recorder.recall(0, range(3))
        assert recorder.due is None
        recorder.record(0, "a", 0.001, 1)
        assert recorder.due <= clock.now, "there was no commit for long"
        recorder.flush()
        assert recorder.due is None
        clock.advance(FLUSH_SECONDS / 2)
        recorder.record(1, "b", 0.001, 1)
        assert recorder.due == pytest.approx(clock.now + FLUSH_SECONDS / 2)
        assert Journal(path).finished == 1
        recorder.flush()
        assert Journal(path).finished == 2


def test_much_is_written_at_once(path: Path):
    with recording(path) as recorder:
        recorder.recall(0, range(4))
        for index in range(4):
            recorder.record(index, os.urandom(FLUSH_BYTES // 3), 0.001, 1)
        assert Journal(path).finished == 3
        assert recorder.due is not None


def is_interrupted(do: Callable[[], None], after: int) -> bool:
    """Press Ctrl-C after so many steps of `do`; say whether it was still at it."""

    def step(_frame, event, _argument):
        nonlocal after
        after -= event != "return"  # there, no handler of the function that returns would see it
        if after < 0:
            raise KeyboardInterrupt

    sys.setprofile(step)
    try:
        do()
    except KeyboardInterrupt:
        return True
    finally:
        after = sys.maxsize
        sys.setprofile(None)
    return False


def test_an_interrupted_flush_can_be_made_up_for_wherever_it_was(path: Path):
    record_values(path, ["moved"])
    large, steps = os.urandom(100_000), 0
    with recording(path) as recorder:
        recorder.recall(0, [9, 8, 0, 7])
        recorder.record(0, "small", 0.001, 1)
        recorder.record(1, large, 0.001, 1)
        while is_interrupted(recorder.flush, after=steps):
            assert len(Journal(path)) in {1, 3}, "all of it or nothing"
            steps += 1
        assert steps > 20
        recorder.record(3, "last", 0.001, 1)
    assert list(Journal(path).results()) == [(0, "small"), (1, large), (2, "moved"), (3, "last")]


def test_an_interrupted_close_can_be_made_up_for_wherever_it_was(path: Path):
    steps, was_interrupted = 0, True
    while was_interrupted:
        recorder = begin(path)
        recorder.recall(0, [steps])
        recorder.record(0, steps, 0.001, 1)
        was_interrupted = is_interrupted(recorder.close, after=steps)
        recorder.close()
        assert os.listdir(path.parent) == [path.name]
        steps += 1
    assert steps > 20
    assert recalled(path, range(steps)) == {number: number for number in range(steps)}


# ---------------------------------------------------------------------------------------------------------- the file


def test_only_the_one_file_is_left_and_all_of_them_are_private(path: Path):
    before = os.umask(0)
    try:
        with recording(path) as recorder:
            recorder.recall(0, "a")
            recorder.record(0, "value", 0.001, 1)
            recorder.flush()
            modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {path.name + end: 0o600 for end in ("", "-wal", "-shm", "-lock")}
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    recorder.close()  # a second time is nothing


def test_an_empty_file_is_made_a_journal(path: Path):
    path.touch()
    record_values(path, ["a"])
    assert recalled(path, range(1)) == {0: "a"}


@pytest.mark.parametrize("name", ["with space", "per%20cent", "ques?tion#", "naïve", "-wal"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str):
    record_values(tmp_path / name, ["a"])
    assert recalled(tmp_path / name, range(1)) == {0: "a"}
    assert list(Journal(tmp_path / name).results()) == [(0, "a")]
    assert os.listdir(tmp_path) == [name]


def test_a_link_leads_to_the_same_journal(path: Path, tmp_path: Path):
    (tmp_path / "folder").mkdir()
    link = tmp_path / "folder" / "link"
    link.symlink_to(path)
    with recording(link) as recorder:
        recorder.recall(0, "a")
        recorder.record(0, "value", 0.001, 1)
        with pytest.raises(JournalInUse):
            begin(path)
    assert recalled(path, "a") == {0: "value"}
    assert os.listdir(tmp_path / "folder") == ["link"]


def test_a_path_that_cannot_be_used_is_told_why(tmp_path: Path):
    with pytest.raises(JournalError, match="is a folder"):
        begin(tmp_path)
    with pytest.raises(JournalError, match="folder does not exist"):
        begin(tmp_path / "no" / "run.journal")
    assert os.listdir(tmp_path) == []


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that other users can reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def read_only(*paths: Path) -> Iterator[None]:
    """Have nobody write, not even root, who here becomes nobody."""
    modes = {path: path.stat().st_mode for path in paths}
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        for path, mode in modes.items():
            path.chmod(mode)


def test_a_folder_that_may_not_be_written_is_refused(shared_folder: Path):
    with read_only(shared_folder), pytest.raises(JournalError, match="Permission denied; in its folder, files must be"):
        begin(shared_folder / "run.journal")
    assert os.listdir(shared_folder) == []


def test_a_journal_that_may_not_be_written_is_refused(shared_folder: Path):
    path = shared_folder / "run.journal"
    record_values(path, ["a"])
    shared_folder.chmod(0o777)
    with read_only(path), pytest.raises(JournalError, match="is it a file that you may read and write"):
        begin(path)
    assert os.listdir(shared_folder) == ["run.journal"]
    assert recalled(path, range(1)) == {0: "a"}


# -------------------------------------------------------------------------------------------------------- mismatches


def test_a_journal_of_another_function_is_refused(path: Path):
    record_values(path, ["a"])
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    with (
        pytest.raises(
            JournalMismatch, match=rf"run.journal was recorded on {day} .* process_item as it was then"
        ) as one,
        recording(path, function_digest=b"g" * 16),
    ):
        pass
    assert "Python" not in str(one.value)
    with pytest.raises(JournalMismatch, match=r"for process_item, and this run is of load; give .*another path"):
        begin(path, function_digest=b"g" * 16, function_name="load")
    assert recalled(path, range(1)) == {0: "a"}, "nothing was lost"


def test_a_change_of_python_is_told_where_the_function_has_changed(path: Path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(recorder_module.sys, "version_info", (3, 2, 1))
        record_values(path, ["a"])
    assert recalled(path, range(1)) == {0: "a"}
    version = ".".join(map(str, sys.version_info[:2]))
    with pytest.raises(JournalMismatch, match=rf"that was Python 3\.2, and this is Python {version}"):
        begin(path, function_digest=b"g" * 16)


def test_random_numbers_go_on_as_they_began(path: Path):
    with recording(path, entropy=1 << 127) as recorder:
        assert recorder.entropy == 1 << 127
    with recording(path, entropy=6) as recorder:
        assert (recorder.entropy, recorder.is_seeded) == (1 << 127, False)
    with pytest.raises(JournalMismatch, match="with no seed, and this run has seed=6"):
        begin(path, entropy=6, is_seeded=True)


def test_another_seed_is_refused(path: Path):
    with recording(path, entropy=5, is_seeded=True):
        pass
    with pytest.raises(JournalMismatch, match="with seed=5, and this run has seed=6"):
        begin(path, entropy=6, is_seeded=True)
    for options in ({"entropy": 5, "is_seeded": True}, {"entropy": 99}):
        with recording(path, **options) as recorder:
            assert (recorder.entropy, recorder.is_seeded) == (5, True)


def test_a_journal_of_a_newer_format_is_refused(path: Path):
    record_values(path, ["a"])
    query(path, "PRAGMA user_version = 3")
    for use in (recalled, lambda path, _: Journal(path)):
        with pytest.raises(JournalMismatch, match="is of format 3, and this allcores knows format 2"):
            use(path, range(1))


# ------------------------------------------------------------------------------------------------------------ damage

EXPECTED = {index: [index] * 20 for index in range(100)} | {100: os.urandom(300_000)}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of a sound journal."""
    path = tmp_path_factory.mktemp("sound") / "run.journal"
    record_values(path, list(EXPECTED.values()))
    return path.read_bytes()


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path):
    path.write_bytes(b"precious" * 1000)
    for use in (recalled, lambda path, _: Journal(path)):
        with pytest.raises(JournalDamaged, match=r"run\.journal is no journal of allcores: .*give another path"):
            use(path, range(1))
    assert snapshot(path.parent) == {path.name: hashlib.md5(b"precious" * 1000).hexdigest()}


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path):
    query(path, "CREATE TABLE precious (data)")
    before = snapshot(path.parent)
    for use in (recalled, lambda path, _: Journal(path)):
        with pytest.raises(JournalDamaged, match="is a database of another program"):
            use(path, range(1))
    assert snapshot(path.parent) == before


def test_an_empty_file_shows_nothing(path: Path):
    path.touch()
    with pytest.raises(JournalDamaged, match="nothing is in it"):
        Journal(path)


@pytest.mark.parametrize("part", [0.01, 0.3, 0.7, 0.999])
def test_a_file_that_was_cut_off_is_damaged(path: Path, sound: bytes, part: float):
    path.write_bytes(sound[: int(len(sound) * part)])
    with pytest.raises(JournalDamaged, match=r"delete it to have everything run again|no journal of allcores"):
        recalled(path, range(101))
    assert os.listdir(path.parent) == [path.name]


def found_before_damage(path: Path) -> dict[int, Any]:
    """Give all that recorder and reader find, up to the first error."""
    found: dict[int, Any] = {}
    with contextlib.suppress(JournalError), recording(path) as recorder:
        for index in range(len(EXPECTED)):
            found |= recorder.recall(index, range(index, index + 1))
    with contextlib.suppress(JournalError):
        found |= Journal(path).results()
    return found


@pytest.mark.parametrize("seed", range(4))
def test_whatever_byte_is_flipped_no_wrong_value_is_given(path: Path, sound: bytes, seed: int):
    dice = random.Random(seed)
    finds = Counter()
    for _ in range(30):
        content = bytearray(sound)
        place = dice.randrange(len(content)) if dice.random() < 0.3 else dice.randrange(8 * 4096)
        content[place] ^= dice.randrange(1, 256)
        path.write_bytes(content)
        found = found_before_damage(path)
        assert found == {index: EXPECTED[index] for index in found}
        finds[len(found) == len(EXPECTED)] += 1
        assert os.listdir(path.parent) == [path.name]
    assert finds[False], "some damage is seen"


@pytest.mark.parametrize("place", ["pickle", "pieces", "about"])
def test_a_flipped_byte_is_seen_that_sqlite_does_not_see(path: Path, sound: bytes, place: str):
    within = {"pickle": bytes([75, 50] * 9), "pieces": EXPECTED[100], "about": b"process_item"}[place]
    needle = next(part for at in range(len(within)) if (part := within[at : at + 12]) in sound)  # not across two pages
    path.write_bytes(sound.replace(needle, needle[:-1] + b"!"))
    with pytest.raises(JournalDamaged, match=r"run.journal is damaged: .* delete it to have everything run again"):
        recalled(path, range(101))
    with pytest.raises(JournalDamaged):
        dict(Journal(path).results())


# ------------------------------------------------------------------------------------------------------ two at a time

RECORD = """
import os, sys
from allcores._journal.recorder import Recorder

recorder = Recorder(
    sys.argv[1], function_digest=b"f" * 16, function_name="process_item", job=[], entropy=5, is_seeded=False
)
recorder.recall(0, range(10_000))
"""


@contextlib.contextmanager
def running(program: str, *arguments: Any) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", RECORD + textwrap.dedent(program), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


WAIT = """
recorder.record(0, "value", 0.001, 1)
recorder.flush()
print("recorded", flush=True)
sys.stdin.read()
recorder.close()
"""


def test_two_runs_cannot_record_at_once(path: Path):
    with recording(path), pytest.raises(JournalInUse, match="this very process records into it"):
        begin(path)
    with running(WAIT, path) as process:
        process.stdout.readline()
        with pytest.raises(JournalInUse, match=f"run.journal is in use: process {process.pid} on .*another path"):
            begin(path)
        process.communicate()
    assert recalled(path, range(1)) == {0: "value"}


def test_a_file_that_another_program_holds_on_to_is_in_use(path: Path, monkeypatch):
    monkeypatch.setattr(journal_file, "BUSY_SECONDS", 0.01)
    record_values(path, ["a"])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JournalInUse, match="another program has it open"):
            begin(path)
        other.execute("COMMIT")
    assert recalled(path, range(1)) == {0: "a"}


def test_a_forked_child_can_neither_record_nor_end_the_recording(path: Path):
    with recording(path) as recorder:
        recorder.recall(0, "ab")
        recorder.record(0, "parent's", 0.001, 1)
        child = os.fork()
        if child == 0:
            recorder.record(1, "child's", 0.001, 1)
            recorder.flush()
            recorder.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert set(os.listdir(path.parent)) == {path.name + end for end in ("", "-wal", "-shm", "-lock")}
        recorder.flush()
        assert list(Journal(path).results()) == [(0, "parent's")]


# ------------------------------------------------------------------------------------------------------------- kills


@pytest.mark.parametrize("seed", range(4))
def test_what_was_committed_outlives_a_kill(path: Path, seed: int):
    dice = random.Random(seed)
    program = """
        for index in range(10_000):
            recorder.record(index, [index] * (index % 300), 0.001, 1)
            if index % 7 == 0:
                recorder.flush()
                print(index, flush=True)
    """
    done: dict[int, Any] = {}
    with running(program, path) as process:
        committed = [int(process.stdout.readline()) for _ in range(dice.randrange(1, 300))][-1]
        process.kill()
    shown = dict(Journal(path).results())
    with recording(path) as recorder:
        done = recorder.recall(0, range(10_000))
    assert list(done) == list(range(len(done))), "items were recorded in order"
    assert committed < len(done) < 10_000
    assert all(value == [index] * (index % 300) for index, value in done.items())
    assert shown == done
    assert os.listdir(path.parent) == [path.name]


def live(path: Path, steps: int) -> NoReturn:
    """Record one value, in a process that is killed after so many calls of compiled functions."""

    def count(_frame, event, _argument):
        nonlocal steps
        steps -= event == "c_call"
        if steps < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.setprofile(count)
        record_values(path, ["value"])
        sys.setprofile(None)
    finally:
        os._exit(0)


def test_a_run_may_be_killed_at_any_moment(path: Path):
    is_killed, steps, finds = True, 0, Counter()
    while is_killed:
        child = os.fork()
        if child == 0:
            live(path, steps)
        is_killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
        found = recalled(path, range(1))
        assert found in ({}, {0: "value"})
        assert os.listdir(path.parent) == [path.name]
        finds[len(found)] += 1
        path.unlink()
        steps += 3
    assert finds[0]
    assert finds[1]


def test_what_a_killed_run_left_is_shown_and_not_touched(path: Path, tmp_path: Path):
    with running("recorder.record(0, 'a', 0.001, 1); recorder.flush(); os.kill(os.getpid(), 9)", path) as process:
        process.wait()
    before = snapshot(tmp_path)
    assert set(before) == {path.name + end for end in ("", "-wal", "-shm", "-lock")}
    assert list(Journal(path).results()) == [(0, "a")]
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("size", [0, 31, 32, 33, 100, 5_000])
def test_what_was_left_by_a_run_that_was_killed_while_it_wrote_is_shown(path: Path, tmp_path: Path, size: int):
    record_values(path, ["value"])
    with running("recorder.record(1, 'b', 0.001, 1); recorder.flush(); os.kill(os.getpid(), 9)", path) as process:
        process.wait()
    os.truncate(f"{path}-wal", size)
    before = snapshot(tmp_path)
    assert list(Journal(path).results()) == [(0, "value")]
    assert snapshot(tmp_path) == before


def test_what_was_copied_from_under_a_run_is_shown_and_not_touched(path: Path, tmp_path: Path):
    copies = tmp_path / "copies"
    copies.mkdir()
    with recording(path) as recorder:
        recorder.recall(0, "ab")
        recorder.record(0, "value", 0.001, 1)
        recorder.flush()
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", copies)
    before = snapshot(copies)
    assert list(Journal(copies / path.name).results()) == [(0, "value")]
    assert snapshot(copies) == before
    (copies / f"{path.name}-wal").unlink()
    assert list(Journal(copies / path.name).results()) == []
    assert os.listdir(copies) == [path.name]


# ---------------------------------------------------------------------------------------------------------- full disk

FILL = """
recorded = 0
try:
    for index in range(10_000):
        recorder.record(index, [index] * 300, 0.001, 1)
        if index % 50 == 49:
            recorder.flush()
            recorded = index + 1
except Exception as error:
    recorder.record(9_999, "one more", 0.001, 1)
    recorder.flush()
    recorder.close()
    print(recorded, type(error).__name__, error)
"""


def require_full(path: Path, output: str) -> None:
    recorded, name, text = output.split(" ", 2)
    assert int(recorded) > 100
    assert name == "JournalFull"
    assert f"{recorded} recorded outcomes are safe. Make room, and run the same line again" in text
    assert "B free on its disk" in text
    assert Journal(path).finished == int(recorded)


def test_a_file_that_may_not_grow_is_full(path: Path):
    program = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))" + FILL
    with running(program, path) as process:
        output, _ = process.communicate()
    require_full(path, output)
    recorded = int(output.split()[0])
    assert recalled(path, range(10_000)) == {index: [index] * 300 for index in range(recorded)}
    assert os.listdir(path.parent) == [path.name]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that takes a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=1m", "allcores", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let the tests mount a disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_costs_nothing_that_was_recorded(small_disk: Path, tmp_path: Path):
    path = small_disk / "run.journal"
    with running(FILL, path) as process:
        output, _ = process.communicate()
    require_full(path, output)
    with pytest.raises(JournalFull, match=r"what was recorded before is safe|recorded outcomes are safe"):
        begin(path, job=[os.urandom(1_000_000)])
    shutil.copytree(small_disk, tmp_path / "larger")
    recorded = int(output.split()[0])
    assert len(recalled(tmp_path / "larger" / "run.journal", range(10_000))) == recorded


def test_a_disk_that_is_full_from_the_beginning_is_told(small_disk: Path):
    with contextlib.suppress(OSError), (small_disk / "filling").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(JournalFull, match=r"cannot grow: .*, with 0 B free on its disk"):
        begin(small_disk / "run.journal")


# ------------------------------------------------------------------------------------------------------------- shown


def test_who_needs_no_journal_does_not_import_sqlite(run_python):
    program = """
import sys
import allcores

assert allcores.map(abs, [-1], on="serial") == [1]
print("sqlite3" in sys.modules)
"""
    assert run_python(program).stdout == "False\n"


def test_a_journal_says_what_it_is_of(path: Path, monkeypatch):
    with recording(path) as recorder:
        recorder.recall(0, range(3))
        recorder.record(0, "value", 0.001, 1)
        recorder.record_failure(failure_of(1, 1), 0.001)
    monkeypatch.chdir(path.parent)
    journal = Journal("run.journal")
    assert repr(journal) == "<Journal run.journal: 1 finished, 1 failed, of process_item>"
    assert (len(journal), journal.finished, journal.failed, journal.function) == (2, 1, 1, "process_item")
    assert timedelta() <= datetime.now(UTC) - journal.created < timedelta(minutes=1)
    monkeypatch.chdir("/")
    assert len(journal) == 2


def test_a_journal_is_read_while_a_run_records_and_when_it_has_ended(path: Path):
    with recording(path) as recorder:
        recorder.recall(0, range(9_000))
        journal = Journal(path)
        for number in range(1, 4):
            for index in range(1000 * (number - 1), 1000 * number):
                recorder.record(index, [index] * 100, 0.001, 1)
            assert len(journal) == 1000 * (number - 1)
            recorder.flush()
            assert len(journal) == 1000 * number
        results = journal.results()
        beginning = [next(results) for _ in range(10)]
    assert os.listdir(path.parent) == [path.name], "a reader in the middle of it is not in the way"
    record_values(path.with_name("other"), ["a"])
    assert [*beginning, *results] == [(index, [index] * 100) for index in range(3000)]


def test_another_process_is_watched(path: Path):
    with running(WAIT, path) as process:
        process.stdout.readline()
        with Journal(path) as journal:
            assert list(journal.results()) == [(0, "value")]
            process.communicate()
            assert list(journal.results()) == [(0, "value")]


def test_a_reader_that_stays_does_not_keep_a_run_from_ending(path: Path, monkeypatch):
    monkeypatch.setattr(journal_file, "BUSY_SECONDS", 0.05)
    with recording(path) as recorder:
        recorder.recall(0, "a")
        recorder.record(0, "value", 0.001, 1)
        recorder.flush()
        other = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        other.execute("BEGIN")
        other.execute("SELECT * FROM outcomes").fetchone()
    assert list(Journal(path).results()) == [(0, "value")]
    other.close()
    assert recalled(path, "a") == {0: "value"}
    assert os.listdir(path.parent) == [path.name]


def test_a_journal_in_a_folder_that_may_not_be_written_is_shown(shared_folder: Path):
    path = shared_folder / "run.journal"
    with running("recorder.record(0, 'a', 0.001, 1); recorder.flush(); os.kill(os.getpid(), 9)", path) as process:
        process.wait()
    files = [shared_folder / name for name in os.listdir(shared_folder)]
    with read_only(*files, shared_folder):
        assert list(Journal(path).results()) == [(0, "a")]
    recalled(path, range(1))
    with read_only(path, shared_folder):
        assert list(Journal(path).results()) == [(0, "a")]


def test_a_journal_that_is_not_there_is_told_as_any_file(path: Path):
    with pytest.raises(FileNotFoundError) as caught:
        Journal(path)
    assert caught.value.filename == str(path)
    assert os.listdir(path.parent) == []
    with pytest.raises(JournalError, match="is a folder"):
        Journal(path.parent)


def test_a_journal_that_went_away_has_a_repr(path: Path):
    record_values(path, ["a"])
    journal = Journal(path)
    path.unlink()
    assert repr(journal) == f"<Journal {path}: FileNotFoundError>"


def test_a_closed_journal_reads_no_more(path: Path):
    record_values(path, ["a"])
    with Journal(path) as journal:
        assert len(journal) == 1
    assert repr(journal) == f"<Journal {path}: closed>"
    for read in (len, lambda journal: journal.failures, lambda journal: list(journal.results())):
        with pytest.raises(ValueError, match="is closed"):
            read(journal)


def test_results_come_by_index_and_the_last_of_equal_ones_comes_last(path: Path):
    with recording(path) as recorder:
        recorder.recall(0, range(1000))
        for index in random.Random(1).sample(range(1000), 500):
            recorder.record(index, "early", 0.001, 1)
    with recording(path) as recorder:
        recorder.recall(0, range(1000, 2000))
        for index in range(1000):
            recorder.record(index, "late", 0.001, 1)
    results = list(Journal(path).results())
    assert [index for index, _ in results] == sorted(index for index, _ in results)
    assert len(results) == 1500
    assert dict(results) == dict.fromkeys(range(1000), "late")
