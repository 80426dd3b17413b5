"""A report's page stands alone: it shows what a report knows, names items, and does so in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from made_report import make_report

from allcores._core.page import DATA, as_page
from allcores._core.report import Slow
from allcores._core.timeline import MOST_SPANS, MOST_WORKERS

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Checker(HTMLParser):
    """Sees that every element is closed, and notes down what would be fetched."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.fetched += [value for name, value in attributes if name in {"src", "href"} and value]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_is_whole_and_fetches_nothing() -> None:
    page = as_page(make_report())
    checker = Checker(page)
    assert (checker.open, checker.fetched) == ([], [])
    assert "://" not in page
    assert page.count('<rect class="ok"') == 5
    assert page.count('<rect class="failed"') == 1


def test_its_data_are_the_reports_text() -> None:
    report = make_report(failures=(("</script>", 1),))
    data = as_page(report).partition(DATA)[2].partition("</script>")[0]
    assert json.loads(data) == {"report": str(report)}


def test_an_item_that_took_long_is_named() -> None:
    assert "data-name=\"item 3 ('&lt;/script&gt;&lt;b&gt;&quot;&amp;'); worker 1, from 0.7 s, 400 ms\"" in as_page(
        make_report()
    )


@pytest.mark.parametrize("figures", [{"spans": 0, "stints": ()}, {"wall_seconds": 0.0}])
def test_a_run_in_which_nothing_happened_has_a_page(figures: dict[str, Any]) -> None:
    assert Checker(as_page(make_report(**figures))).open == []


def test_the_largest_of_pages_is_bounded() -> None:
    report = make_report(spans=200_000, workers=MOST_WORKERS)
    assert len(report.spans) <= MOST_SPANS
    assert len(as_page(report)) < 600_000


BEFORE = "<script>window.errors = []; window.onerror = text => { errors.push(text); };</script>"
AFTER = """<script>
const press = key => picture.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const says = () => told.textContent;
const seen = {};
bars[2].dispatchEvent(new MouseEvent("mousemove", { bubbles: true })); seen.hover = says();
for (const key of ["Home", "ArrowRight", "ArrowDown", "ArrowUp", "End", "ArrowRight", "ArrowLeft", "x"]) {
  press(key); seen[key + (key in seen ? " again" : "")] = says();
}
picture.focus();
seen.focus = document.activeElement.id;
seen.chosen = document.querySelectorAll(".chosen").length;
seen.height = bars[0].getBoundingClientRect().height > 5;
seen.fetched = performance.getEntriesByType("resource").length;
seen.back = getComputedStyle(document.body).backgroundColor;
seen.errors = errors;
document.title = JSON.stringify(seen);
</script></body>"""


def browse(page: str, folder: Path, *options: str) -> dict[str, Any]:
    """Open a page in a browser, point and press keys there, and tell what it showed."""
    assert CHROMIUM is not None
    file = folder / "run.html"
    file.write_text(page.replace("<head>", f"<head>{BEFORE}").replace("</body>", AFTER))
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-crash-reporter",
        f"--user-data-dir={folder}/user",
    ]
    command = [CHROMIUM, *flags, *options, "--dump-dom", file.as_uri()]
    environment = {**os.environ, "TMPDIR": str(folder), "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, env=environment, check=True)
    title = re.search("<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title is not None
    told: dict[str, Any] = json.loads(title[1])
    return told


@pytest.mark.once
@pytest.mark.skipif(CHROMIUM is None, reason="not installed: chromium")
def test_a_browser_names_items_by_mouse_and_keys_in_light_and_dark(tmp_path: Path) -> None:
    page = as_page(make_report(slowest=(Slow(0.4, 4, 5, "item 4 ('e.csv')"),)))
    light = browse(page, tmp_path)
    assert light["hover"] == "item 4 ('e.csv'); worker 0, from 1.2 s, 400 ms"
    assert light["Home"] == "item 0; worker 0, from 0.2 s, 400 ms"
    assert light["ArrowRight"] == "item 2, 1 failed; worker 0, from 0.7 s, 400 ms"
    assert light["ArrowDown"] == "item 3; worker 1, from 0.7 s, 400 ms"
    assert light["ArrowUp"] == light["ArrowRight"]
    assert light["End"] == light["ArrowRight again"] == "item 5; worker 1, from 1.2 s, 400 ms"
    assert light["ArrowLeft"] == light["x"] == light["ArrowDown"]
    assert (light["focus"], light["chosen"], light["height"]) == ("workers", 1, True)
    assert (light["errors"], light["fetched"]) == ([], 0)
    dark = browse(page, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert (light["back"], dark["back"]) == ("rgb(255, 255, 255)", "rgb(20, 23, 27)")
    assert dark["errors"] == []
