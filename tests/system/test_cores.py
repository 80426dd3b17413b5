"""How many cores this process may use, and of what kind they are."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import allcores
from allcores._core.options import Options
from allcores._system import cores as cores_module
from allcores._system.cores import (
    ALLOTTED,
    CORES_VARIABLE,
    OAR_FILE,
    PYTHON_VARIABLE,
    SLURM_NODES,
    Topology,
    cgroup_quota,
    find_topology,
    limit_cores_here,
    usable_cores,
)
from allcores._system.machine import find_facts

HALF = "50000 100000"  # a quota of half a core, as version 2 writes it

Tree = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (CORES_VARIABLE, PYTHON_VARIABLE, SLURM_NODES, OAR_FILE, *ALLOTTED):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Plant a file system: ``tree(groups, {"path": "content"})`` gives its root."""

    def plant(groups: str, files: dict[str, str]) -> Path:
        for name, content in {"proc/self/cgroup": groups, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content + "\n")
        return tmp_path

    return plant


def v1(folder: str, quota: int, period: int = 100_000) -> dict[str, str]:
    path = f"sys/fs/cgroup/{folder}"
    return {f"{path}/cpu.cfs_quota_us": str(quota), f"{path}/cpu.cfs_period_us": str(period)}


# ------------------------------------------------------------------------------------------------------------- cgroups


def test_a_machine_without_control_groups_has_no_quota(tmp_path: Path) -> None:
    assert cgroup_quota(tmp_path) is None


def test_version_2_grants_what_the_own_group_has(tree: Tree) -> None:
    assert cgroup_quota(tree("0::/job", {"sys/fs/cgroup/job/cpu.max": "250000 100000"})) == 2.5


def test_version_2_without_a_limit(tree: Tree) -> None:
    assert cgroup_quota(tree("0::/job", {"sys/fs/cgroup/job/cpu.max": "max 100000"})) is None


@pytest.mark.parametrize("level", ["a", "a/b", "a/b/c"])
def test_version_2_grants_the_least_of_all_levels(tree: Tree, level: str) -> None:
    files = {f"sys/fs/cgroup/{group}/cpu.max": "400000 100000" for group in ("a", "a/b", "a/b/c")}
    files[f"sys/fs/cgroup/{level}/cpu.max"] = HALF
    assert cgroup_quota(tree("0::/a/b/c", files)) == 0.5


def test_groups_beside_the_own_one_do_not_count(tree: Tree) -> None:
    files = {"sys/fs/cgroup/a/cpu.max": "400000 100000", "sys/fs/cgroup/b/cpu.max": HALF, "sys/fs/cpu.max": HALF}
    assert cgroup_quota(tree("0::/a", files)) == 4.0


@pytest.mark.parametrize("path", ["/", "/docker/4711", "/../../docker/4711"])
def test_inside_a_container_the_root_of_the_mount_counts(tree: Tree, path: str) -> None:
    assert cgroup_quota(tree(f"0::{path}", {"sys/fs/cgroup/cpu.max": HALF})) == 0.5


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_version_1_grants_the_least_of_all_levels(tree: Tree, mount: str) -> None:
    groups = "12:pids:/a/b\n4:cpu,cpuacct:/a/b\n1:name=systemd:/a/b"
    files = {**v1(f"{mount}", -1), **v1(f"{mount}/a", 150_000), **v1(f"{mount}/a/b", 300_000)}
    assert cgroup_quota(tree(groups, files)) == 1.5


def test_version_1_without_a_limit(tree: Tree) -> None:
    assert cgroup_quota(tree("4:cpu:/a", v1("cpu/a", -1))) is None


def test_version_1_of_other_controllers_does_not_count(tree: Tree) -> None:
    assert cgroup_quota(tree("4:cpuset:/a\n5:memory:/a", v1("cpu/a", 50_000))) is None


def test_where_both_versions_are_mounted_the_least_counts(tree: Tree) -> None:
    files = {**v1("cpu/a", 300_000), "sys/fs/cgroup/b/cpu.max": "200000 100000"}
    assert cgroup_quota(tree("4:cpu:/a\n0::/b", files)) == 2.0


@pytest.mark.parametrize("content", ["", "nonsense", "max", "1 2 3", "many 100000"])
def test_a_file_that_nobody_understands_is_no_limit(tree: Tree, content: str) -> None:
    assert cgroup_quota(tree("0::/a", {"sys/fs/cgroup/a/cpu.max": content})) is None


# --------------------------------------------------------------------------------------------------------------- cores


@pytest.fixture
def one_core() -> Iterator[int]:
    """Bind this thread to one core for the time of the test."""
    cores = os.sched_getaffinity(0)
    core = min(cores)
    os.sched_setaffinity(0, {core})
    yield core
    os.sched_setaffinity(0, cores)


def bounds() -> list[tuple[int, str]]:
    return list(cores_module.bounds_of_cores())


def test_usable_cores_are_the_least_of_all_bounds() -> None:
    cores = usable_cores()
    assert cores == min(bounds())[0]
    assert (cores, cores.bound) in bounds()
    assert 1 <= cores <= len(os.sched_getaffinity(0))


@pytest.mark.usefixtures("one_core")
def test_affinity_bounds_the_cores() -> None:
    cores = usable_cores()
    assert (cores, cores.bound) == (1, "this process's CPU affinity")
    assert find_facts(Options()).cores == 1


@pytest.mark.parametrize(("how", "switches"), [("PYTHON_CPU_COUNT=1", []), ("-X cpu_count=1", ["-X", "cpu_count=1"])])
def test_what_python_was_told_takes_the_place_of_the_affinity(how: str, switches: list[str]) -> None:
    program = "import allcores; print(allcores.plan().workers_reason)"
    environment = {**os.environ, PYTHON_VARIABLE: "3" if switches else "1"}
    done = subprocess.run([sys.executable, *switches, "-c", program], env=environment, capture_output=True, check=True)
    assert done.stdout.decode().strip() == f"usable cores, bounded by {how}"


def test_more_cores_than_the_affinity_grants_may_be_claimed_as_from_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, "1000")
    assert (1000, f"{PYTHON_VARIABLE}=1000") in bounds()
    assert not any("affinity" in reason for _, reason in bounds())


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "default"])
def test_what_says_no_number_of_cores_says_nothing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = bounds()
    monkeypatch.setenv(PYTHON_VARIABLE, text)
    assert bounds() == expected


@pytest.mark.parametrize("variable", [CORES_VARIABLE, *ALLOTTED])
def test_variables_bound_the_cores(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "3")
    assert (3, f"{variable}=3") in bounds()
    monkeypatch.setenv(variable, "1")
    assert usable_cores() == 1


def test_a_variable_does_not_make_more_cores_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    before = usable_cores()
    monkeypatch.setenv(CORES_VARIABLE, "100000")
    assert usable_cores() == before


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "all", "2(x3)", " "])
def test_a_variable_that_is_no_count_is_ignored(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bounds()
    monkeypatch.setenv(CORES_VARIABLE, text)
    assert bounds() == before


@pytest.mark.parametrize(
    ("nodes", "number", "cores"),
    [
        ("16", "", 16),
        ("16(x2)", "", 16),
        ("16(x2),8", "", 8),
        ("16(x2),8", "1", 16),
        ("16(x2),8", "2", 8),
        ("8", "5", 8),
    ],
)
def test_slurm_tells_the_cores_of_each_node(
    nodes: str, number: str, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SLURM_NODES, nodes)
    monkeypatch.setenv("SLURM_NODEID", number)
    assert (cores, f"{SLURM_NODES}={nodes}") in bounds()


@pytest.mark.parametrize("nodes", ["", "many", "(x2)", "0"])
def test_nodes_that_nobody_understands_say_nothing(nodes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bounds()
    monkeypatch.setenv(SLURM_NODES, nodes)
    assert bounds() == before


def test_oar_lists_a_line_for_each_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "nodes"
    file.write_text("other\n" + f"{os.uname().nodename}\n" * 3)
    monkeypatch.setenv(OAR_FILE, str(file))
    assert (3, f"the cores in {OAR_FILE}") in bounds()
    monkeypatch.setenv(OAR_FILE, str(tmp_path / "missing"))
    assert not any(OAR_FILE in reason for _, reason in bounds())


@pytest.mark.parametrize(("quota", "cores"), [(0.1, 1), (1.0, 1), (1.5, 2), (7.0, 7)])
def test_a_quota_is_rounded_up_to_whole_cores(
    quota: float, cores: int, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree("0::/", {"sys/fs/cgroup/cpu.max": f"{int(quota * 100_000)} 100000"})
    monkeypatch.setattr(cores_module, "_quota", lambda: cgroup_quota(root))
    assert (cores, f"a control group's quota of {quota:g} cores") in bounds()


GROUPS = Path("/sys/fs/cgroup")
QUOTAS = {"cpu.cfs_quota_us": "100000", "cpu.max": "100000 100000"}  # of one core, by version of control groups


@pytest.fixture
def group_of_one_core() -> Iterator[Path]:
    """A real control group, for this test's processes."""
    group = next(filter(_make_group, _places_for_groups()), None)
    if group is None:
        pytest.skip("this process may make no control group with a quota of cores")
    yield group
    deadline = time.monotonic() + 10
    while (group / "cgroup.procs").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    group.rmdir()


def _places_for_groups() -> Iterator[Path]:
    """Give where a new group may be, inside of this process's own, in either version."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            yield GROUPS / controllers / path.lstrip("/") / f"allcores-test-{os.getpid()}"


def _make_group(group: Path) -> bool:
    with suppress(OSError):
        group.mkdir()
        with suppress(OSError):
            if any(_write(group / name, quota) for name, quota in QUOTAS.items()):
                return True
        group.rmdir()
    return False


def _write(file: Path, text: str) -> bool:
    if not file.exists():
        return False
    file.write_text(text)
    return True


def test_the_quota_of_a_real_group_bounds_workers_and_their_workers(group_of_one_core: Path) -> None:
    program = (
        "import allcores; print(allcores.usable_cores(), allcores.usable_cores().bound, allcores.plan().workers, "
        "allcores.map(lambda _: int(allcores.usable_cores()), [1], workers=1))"
    )
    join = f'echo $$ > {group_of_one_core}/cgroup.procs && exec "$0" -c "$1"'
    command = ["sh", "-c", join, sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "1 a control group's quota of 1 cores 1 [1]\n", done.stderr


def test_a_share_of_an_outer_run_bounds_the_thread_that_has_it_and_no_other() -> None:
    inside: list[tuple[int, str]] = []

    def limited() -> None:
        limit_cores_here(1)
        inside.extend(bounds())

    before = bounds()
    thread = threading.Thread(target=limited)
    thread.start()
    thread.join()
    assert [*before, (1, "the share of an outer run")] == inside
    assert bounds() == before


def test_usable_cores_explain_themselves() -> None:
    cores = allcores.usable_cores()
    assert repr(cores) == f"<{int(cores)} usable cores, bounded by {cores.bound}>"
    assert f"{cores}" == str(cores) == str(int(cores))
    copied = pickle.loads(pickle.dumps(cores))
    assert (copied, copied.bound) == (cores, cores.bound)


# ------------------------------------------------------------------------------------------------- what kind of cores


def describe_cores(folder: Path, siblings: list[str], capacities: list[int] | None = None) -> str:
    """Write down what Linux would say of processors 0 and so on; give the folder."""
    for cpu, text in enumerate(siblings):
        path = folder / f"cpu{cpu}" / "topology" / "thread_siblings_list"
        path.parent.mkdir(parents=True)
        path.write_text(text + "\n")
        if capacities:
            (folder / f"cpu{cpu}" / "cpu_capacity").write_text(f"{capacities[cpu]}\n")
    return str(folder)


@pytest.fixture
def four_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})


@pytest.mark.usefixtures("four_allowed")
def test_hardware_threads_of_one_core_count_once(tmp_path: Path) -> None:
    topology = find_topology(describe_cores(tmp_path, ["0-1", "0-1", "2-3", "2-3"]))
    assert topology == Topology(4, 2, 0)
    assert str(topology) == "4 hardware threads on 2 physical cores"


@pytest.mark.usefixtures("four_allowed")
def test_cores_of_less_capacity_are_efficiency_cores(tmp_path: Path) -> None:
    topology = find_topology(describe_cores(tmp_path, ["0", "1", "2", "3"], [1024, 1024, 400, 400]))
    assert topology == Topology(4, 4, 2)
    assert "2 of them on efficiency cores" in str(topology)


@pytest.mark.usefixtures("four_allowed")
def test_intel_lists_its_efficiency_cores(tmp_path: Path) -> None:
    folder = tmp_path / "system" / "cpu"
    atoms = tmp_path / "cpu_atom" / "cpus"
    atoms.parent.mkdir()
    atoms.write_text("2-3,8\n")
    assert find_topology(describe_cores(folder, ["0-1", "0-1", "2", "3"])) == Topology(4, 3, 2)


def test_where_the_kernel_does_not_tell_nothing_is_known(tmp_path: Path) -> None:
    assert find_topology(str(tmp_path)) is None
