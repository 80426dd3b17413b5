"""What the system tells about memory: how much there is, how much processes have, whom the kernel takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from allcores._system.memory import OOM_SCORE, Room, free_memory, oom_kills, peak_memory, reset_peak, resident_memory

pytestmark = pytest.mark.once

MB = 10**6
MACHINE = {"proc/meminfo": "MemTotal: 8000000 kB\nMemFree: 100 kB\nMemAvailable: 5000000 kB"}
THE_MACHINE = Room(free=5_120_000_000, total=8_192_000_000, bound="the machine's memory")
UNLIMITED = 0x7FFFFFFFFFFFF000  # as version 1 writes it

Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Plant a machine of 8 GB with 5 GB free: ``tree(groups, {"path": "content"})`` gives its root."""

    def plant(groups: str, files: dict[str, str]) -> Path:
        for name, content in {"proc/self/cgroup": groups, **MACHINE, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content + "\n")
        return tmp_path

    return plant


def v2(folder: str, most: object, used: int, *, high: object = "max", cached: int = 0) -> dict[str, str]:
    stat = f"anon {used - cached}\nfile {cached}\nactive_file 0\ninactive_file {cached}\nslab_reclaimable 0"
    values = {"max": most, "high": high, "current": used, "stat": stat}
    return {f"sys/fs/cgroup/{folder}/memory.{name}": str(value) for name, value in values.items()}


def v1(folder: str, most: int, used: int, *, cached: int = 0) -> dict[str, str]:
    stat = f"inactive_file 7\nactive_file 7\ntotal_inactive_file {cached}\ntotal_active_file 0"
    values = {"limit_in_bytes": most, "usage_in_bytes": used, "stat": stat}
    return {f"sys/fs/cgroup/memory/{folder}/memory.{name}": str(value) for name, value in values.items()}


def in_group(size: int, used: int) -> Room:
    return Room(free=size - used, total=size, bound=f"a control group's limit of {size // MB} MB")


@contextmanager
def child(source: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that has done its work when it prints a line, and that ends with its input."""
    command = [sys.executable, "-c", f"{source}; print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.communicate(b"\n")


# ----------------------------------------------------------------------------------------------------------------- room


def test_a_system_that_tells_nothing_leaves_it_unknown(tmp_path: Path) -> None:
    assert free_memory(tmp_path) is None


def test_a_kernel_that_does_not_tell_what_is_available_leaves_it_unknown(tree: Tree) -> None:
    assert free_memory(tree("0::/", {"proc/meminfo": "MemTotal: 8000000 kB\nMemFree: 100 kB"})) is None


@pytest.mark.parametrize("groups", ["0::/job", "4:memory:/job", "4:cpu:/job"])
def test_without_limits_it_is_the_machine_s(tree: Tree, groups: str) -> None:
    assert free_memory(tree(groups, {})) == THE_MACHINE


def test_version_2_leaves_what_its_limit_is_above_its_usage(tree: Tree) -> None:
    assert free_memory(tree("0::/job", v2("job", 900 * MB, 500 * MB))) == in_group(900 * MB, 500 * MB)


def test_version_1_leaves_what_its_limit_is_above_its_usage(tree: Tree) -> None:
    assert free_memory(tree("4:memory:/job", v1("job", 900 * MB, 500 * MB))) == in_group(900 * MB, 500 * MB)


@pytest.mark.parametrize(("most", "high"), [(900 * MB, 700 * MB), (700 * MB, 900 * MB), ("max", 700 * MB)])
def test_the_lesser_of_version_2_s_two_limits_counts(tree: Tree, most: object, high: object) -> None:
    assert free_memory(tree("0::/job", v2("job", most, 100 * MB, high=high))) == in_group(700 * MB, 100 * MB)


@pytest.mark.parametrize("list_of_files", ["inactive_file", "active_file", "slab_reclaimable"])
def test_what_version_2_caches_is_free(tree: Tree, list_of_files: str) -> None:
    files = v2("job", 900 * MB, 800 * MB)
    files["sys/fs/cgroup/job/memory.stat"] = f"anon {500 * MB}\nfile 4\nfile_mapped 5\n{list_of_files} {300 * MB}"
    assert free_memory(tree("0::/job", files)) == in_group(900 * MB, 500 * MB)


@pytest.mark.parametrize("list_of_files", ["total_inactive_file", "total_active_file"])
def test_what_version_1_caches_in_all_groups_within_is_free(tree: Tree, list_of_files: str) -> None:
    files = v1("job", 900 * MB, 800 * MB)
    files["sys/fs/cgroup/memory/job/memory.stat"] = f"inactive_file 7\nactive_file 7\n{list_of_files} {300 * MB}"
    assert free_memory(tree("4:memory:/job", files)) == in_group(900 * MB, 500 * MB)


@pytest.mark.parametrize("level", ["a", "a/b", "a/b/c"])
@pytest.mark.parametrize(("groups", "plant"), [("0::/a/b/c", v2), ("4:memory:/a/b/c", v1)])
def test_the_least_of_all_levels_counts(tree: Tree, groups: str, plant: Callable[..., dict[str, str]], level: str):
    files = {}
    for group in ("a", "a/b", "a/b/c"):
        files |= plant(group, 900 * MB, (600 if group == level else 500) * MB)
    assert free_memory(tree(groups, files)) == in_group(900 * MB, 600 * MB)


@pytest.mark.parametrize("path", ["/", "/docker/4711", "/../../docker/4711"])
@pytest.mark.parametrize(("version", "plant"), [("0:", v2), ("4:memory", v1)])
def test_inside_a_container_the_root_of_the_mount_counts(
    tree: Tree, version: str, plant: Callable[..., dict[str, str]], path: str
) -> None:
    assert free_memory(tree(f"{version}:{path}", plant("", 900 * MB, 500 * MB))) == in_group(900 * MB, 500 * MB)


def test_groups_beside_the_own_one_do_not_count(tree: Tree) -> None:
    files = v2("a", 900 * MB, 500 * MB) | v2("b", 100 * MB, 100 * MB)
    assert free_memory(tree("0::/a", files)) == in_group(900 * MB, 500 * MB)


def test_a_limit_of_more_than_the_machine_has_does_not_bind(tree: Tree) -> None:
    assert free_memory(tree("0::/a", v2("a", 9_000 * MB, 8_999 * MB))) == THE_MACHINE
    assert free_memory(tree("4:memory:/a", v1("a", UNLIMITED, 9_000 * MB))) == THE_MACHINE


def test_a_group_that_leaves_more_than_the_machine_does_not_bind(tree: Tree) -> None:
    assert free_memory(tree("0::/a", v2("a", 7_000 * MB, MB))) == THE_MACHINE


def test_a_group_that_uses_more_than_it_may_leaves_nothing(tree: Tree) -> None:
    assert free_memory(tree("0::/a", v2("a", "max", 990 * MB, high=900 * MB))) == in_group(900 * MB, 900 * MB)


@pytest.mark.parametrize("name", ["max", "current"])
@pytest.mark.parametrize("content", ["", "nonsense", "1 2"])
def test_a_file_that_nobody_understands_is_no_limit(tree: Tree, name: str, content: str) -> None:
    files = v2("a", 900 * MB, 500 * MB) | {f"sys/fs/cgroup/a/memory.{name}": content}
    assert free_memory(tree("0::/a", files)) == THE_MACHINE


def test_it_is_read_anew_each_time(tree: Tree) -> None:
    root = tree("0::/a", v2("a", 900 * MB, 500 * MB))
    assert free_memory(root) == in_group(900 * MB, 500 * MB)
    (root / "sys/fs/cgroup/a/memory.current").write_text(str(600 * MB))
    (root / "sys/fs/cgroup/a/memory.max").write_text(str(800 * MB))
    assert free_memory(root) == in_group(800 * MB, 600 * MB)


def test_a_group_that_is_gone_is_no_limit(tree: Tree) -> None:
    root = tree("0::/a", v2("a", 900 * MB, 500 * MB))
    free_memory(root)
    (root / "sys/fs/cgroup/a/memory.max").unlink()
    assert free_memory(root) == THE_MACHINE


def test_this_machine_has_some_memory() -> None:
    room = free_memory()
    assert 0 < room.free <= room.total
    assert room.total <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_a_real_group_bounds_the_processes_in_it(memory_group) -> None:
    program = "from allcores._system.memory import free_memory; print(*free_memory(), sep='|')"
    done = memory_group(64 << 20).run([sys.executable, "-c", program])
    free, total, bound = done.stdout.strip().split("|")
    assert (int(total), bound) == (64 << 20, "a control group's limit of 67.1 MB")
    assert 32 << 20 < int(free) < 64 << 20


def test_what_a_real_group_caches_is_free(memory_group, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(40 << 20))
    program = (
        "import os, sys; from allcores._system.memory import free_memory\n"
        "file = os.open(sys.argv[1], os.O_RDONLY)\n"
        "os.fsync(file); os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)\n"  # so that it is cached here
        "for _ in range(3):\n"
        "    while os.read(file, 1 << 20): pass\n"
        "    os.lseek(file, 0, 0)\n"
        "print(free_memory().free)\n"
    )
    done = memory_group(64 << 20).run([sys.executable, "-c", program, str(tmp_path / "data")])
    assert int(done.stdout) > 32 << 20


# ------------------------------------------------------------------------------------------------------------ processes


def test_a_process_has_what_it_allocated() -> None:
    with child("pass") as small, child("data = bytearray(b'x') * 50_000_000") as large:
        grown = resident_memory(large.pid) - resident_memory(small.pid)
    assert 49 * MB < grown < 60 * MB


def test_files_that_are_mapped_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(50 * MB))
    look = f"data = mmap.mmap(open({str(tmp_path / 'data')!r}).fileno(), 0, prot=mmap.PROT_READ); data[::4096]"
    with child("import mmap") as small, child(f"import mmap; {look}") as large:
        grown = resident_memory(large.pid) - resident_memory(small.pid)
    assert grown < 10 * MB


def test_of_a_process_that_is_gone_nobody_knows_anything() -> None:
    with child("pass") as process:
        pass
    reset_peak(process.pid)
    assert resident_memory(process.pid) is None
    assert peak_memory(process.pid) is None


def test_the_peak_of_memory_outlasts_its_use_until_it_starts_anew() -> None:
    with child("pass") as small, child("data = bytearray(b'x') * 50_000_000; del data") as large:
        idle, peak = peak_memory(small.pid), peak_memory(large.pid)
        reset_peak(large.pid)
        anew = peak_memory(large.pid)
    assert 49 * MB < peak - idle < 60 * MB
    assert anew - idle < 10 * MB


def test_the_peak_of_the_process_that_started_it_does_not_count(run_python) -> None:
    peak = "import os; from allcores._system.memory import peak_memory; print(peak_memory(os.getpid()))"
    done = run_python(
        "import subprocess, sys\n"
        "data = bytearray(b'x') * 200_000_000\n"
        f"subprocess.run([sys.executable, '-c', {peak!r}], check=True)\n"
    )
    assert int(done.stdout) < 100 * MB


# ------------------------------------------------------------------------------------------------------- whom it takes


@pytest.mark.parametrize("files", [{}, {"proc/vmstat": "nr_free_pages 7"}])
def test_a_system_that_does_not_count_kills_has_none(tree: Tree, files: dict[str, str]) -> None:
    assert oom_kills(tree("0::/", files)) == 0


@pytest.mark.parametrize(
    ("groups", "files", "kills"),
    [
        ("0::/", {}, 9),
        ("0::/a/b", {"sys/fs/cgroup/a/memory.events.local": "oom 5\noom_kill 4"}, 4),
        (
            "0::/a",
            {"sys/fs/cgroup/a/memory.events.local": "oom_kill 3", "sys/fs/cgroup/a/memory.events": "oom_kill 5"},
            3,
        ),
        ("0::/a", {"sys/fs/cgroup/a/memory.events": "low 0\noom_kill 5"}, 5),
        ("4:memory:/a\n0::/", {"sys/fs/cgroup/memory/a/memory.oom_control": "under_oom 0\noom_kill 2"}, 2),
        ("4:memory:/a", {"sys/fs/cgroup/memory/a/memory.oom_control": "under_oom 0"}, 9),
    ],
)
def test_kills_are_those_of_the_own_group_where_groups_count(
    tree: Tree, groups: str, files: dict[str, str], kills: int
) -> None:
    assert oom_kills(tree(groups, {"proc/vmstat": "oom_kill 9", **files})) == kills


def test_the_kernel_counts_whom_it_ends_for_lack_of_memory(memory_group) -> None:
    program = (
        "import subprocess, sys\n"
        "from allcores._system.memory import oom_kills\n"
        "before = oom_kills()\n"
        "done = subprocess.run([sys.executable, '-c', 'bytearray(b\"x\") * (128 << 20)'])\n"
        "print(done.returncode, oom_kills() - before)\n"
    )
    before = oom_kills()
    done = memory_group(96 << 20).run([sys.executable, "-c", program])
    assert done.stdout.split() == [str(-signal.SIGKILL), "1"]
    assert oom_kills() == before, "another group's is none of this one's"


@pytest.mark.parametrize(("before", "after"), [(0, OOM_SCORE), (OOM_SCORE + 200, OOM_SCORE + 200)])
def test_a_process_offers_itself_and_never_takes_that_back(run_python, before: int, after: int) -> None:
    done = run_python(
        "from pathlib import Path\n"
        "from allcores._system.memory import offer_to_oom_killer\n"
        "score = Path('/proc/self/oom_score_adj')\n"
        f"score.write_text('{before}')\n"
        "offer_to_oom_killer()\n"
        "print(score.read_text())\n"
    )
    assert int(done.stdout) == after
