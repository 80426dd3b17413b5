"""joblib's own tests of `Parallel`, with our backend in loky's place: ``python -m foreign.joblibs -k nested``.

They name loky, in programs that they write, too. So it is a copy of the file in the current folder that is run, in
which those names are ours. Arguments are pytest's; ``--all`` leaves out nothing, and ``--quick`` plays each test once,
with the first of its sets of parameters.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import joblib.parallel
import pytest

import allcores.joblib

NO_FILES = "expects arrays in a folder's files, and they arrive as ordinary arrays"
CAN_NEST = "expects a warning that processes cannot be nested there, and they can"

# {test, or test[parameters]: why it is left out}
LEFT_OUT = {
    "test_auto_memmap_on_arrays_from_generator[allcores]": NO_FILES,
    "test_loky_reuse_workers": "asks loky's own executor whether it is the same",
    "test_memmapping_leaks[allcores]": NO_FILES,
    "test_nested_parallel_warnings[allcores-multiprocessing-True]": CAN_NEST,
    "test_nested_parallel_warnings[multiprocessing-allcores-True]": CAN_NEST,
    "test_nested_parallel_warnings[threading-allcores-True]": CAN_NEST,
}

OTHERS = ("loky", "multiprocessing", "sequential", "spawn", "threading")

# What the copy has in place of joblib's, in this order.
REWRITTEN = {
    "    LokyBackend,\n": "",
    "joblib._parallel_backends.LokyBackend": "LokyBackend",
    "LokyBackend": "AllcoresBackend",
    '("loky", True),': '("allcores", False),',  # whether dropping a generator ends other calls
    '"loky"': '"allcores"',
    'match=r"the task to send"': 'match=r"cannot be pickled"',
    'stderr_regex=r"LokyProcess",': "",
    "from joblib import Parallel, delayed": "import allcores.joblib\nfrom joblib import Parallel, delayed",
    'getattr(backend, "_workers", None)': 'getattr(backend, "_lease", None)',
    "import joblib\n": "from allcores.joblib import AllcoresBackend\nimport joblib\n",
}


class Selection:
    """Chooses from the tests those that are about our backend and not left out; a plug-in of pytest."""

    def __init__(self, left_out: dict[str, str], *, is_quick: bool) -> None:
        self._left_out, self._is_quick = left_out, is_quick

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        wrong = self._left_out.keys() - {name for item in items for name in _names(item)}
        if wrong:
            raise pytest.UsageError(f"left out, but there is no such test: {sorted(wrong)}")
        chosen = [item for item in items if _is_ours(item) and self._left_out.keys().isdisjoint(_names(item))]
        if self._is_quick:
            chosen = list({_names(item)[1]: item for item in reversed(chosen)}.values())[::-1]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def _names(item: pytest.Item) -> tuple[str, str]:
    """Give a test's name with its parameters, and without."""
    return item.name, item.name.partition("[")[0]


def _is_ours(item: pytest.Item) -> bool:
    """Whether a test is not of other backends alone."""
    call = getattr(item, "callspec", None)
    backends = [] if call is None else [value for name, value in call.params.items() if "backend" in name]
    return not backends or any(_is_backend_of_ours(backend) for backend in backends)


def _is_backend_of_ours(backend: object) -> bool:
    if isinstance(backend, joblib.parallel.ParallelBackendBase):
        return isinstance(backend, allcores.joblib.AllcoresBackend)
    return backend is None or (isinstance(backend, str) and backend not in OTHERS)


def write_copy() -> Path:
    """Write the copy of the tests."""
    spec = find_spec("joblib.test.test_parallel")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text()
    for theirs, ours in REWRITTEN.items():
        assert theirs in source, f"{theirs!r} is not in {spec.origin}"
        source = source.replace(theirs, ours)
    copy = Path("test_joblibs_parallel.py")
    copy.write_text(source)
    return copy


def main(arguments: Iterable[str]) -> int:
    """Run the tests and give pytest's exit code."""
    joblib.parallel.register_parallel_backend("allcores", allcores.joblib.AllcoresBackend, make_default=True)
    joblib.parallel.DEFAULT_PROCESS_BACKEND = "allcores"
    options = [argument for argument in arguments if argument not in ("--all", "--quick")]
    left_out = {} if "--all" in arguments else LEFT_OUT
    selection = Selection(left_out, is_quick="--quick" in arguments)
    warnings = ["-W", "ignore::pytest.PytestUnknownMarkWarning"]
    return pytest.main([str(write_copy()), "--rootdir=.", *warnings, *options], plugins=[selection])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
