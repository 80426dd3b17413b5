"""A report as a picture of matplotlib's."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from made_report import make_report

# In a Python of its own, as matplotlib keeps the fonts open that it has drawn with.
DRAW = """
import sys
sys.path.insert(0, {folder!r})
from io import BytesIO
from made_report import make_report

figure = make_report().plot()
bars = figure.axes[0].collections
print(sum(len(some.get_paths()) for some in bars), len({{tuple(some.get_facecolor()[0]) for some in bars}}))
for report in make_report(), make_report(spans=0):
    file = BytesIO()
    report.plot().savefig(file)
    print(b"PNG" in file.getvalue()[:4], "matplotlib.pyplot" in sys.modules)
"""


@pytest.mark.once
@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="not installed: matplotlib")
def test_a_picture_has_a_bar_for_each_span_and_marks_failures(run_python: Any) -> None:
    done = run_python(DRAW.format(folder=str(Path(__file__).parents[1])), warnings="default")
    assert done.stdout.splitlines() == ["6 2", "True False", "True False"]


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install allcores\[plot\]"):
        make_report().plot()
