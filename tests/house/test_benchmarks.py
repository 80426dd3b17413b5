"""The benchmarks run, and tell what they should. No peer is needed for that, and nothing is timed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import allcores
from benchmarks.cases import CASES, large
from benchmarks.cost import TABLES, Size
from benchmarks.features import FEATURES, cut_out
from benchmarks.memory import MemorySampler
from benchmarks.nodes import Simulation
from benchmarks.peers import ALWAYS, PEERS, Peer, make_peer
from benchmarks.player import Player, Reason
from benchmarks.rounds import Figures, Pace, Performance, Players
from benchmarks.scaling import worker_counts
from benchmarks.scheduler import simulate
from benchmarks.stage import Stage
from benchmarks.table import case_table, target_table

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
TINY = 4  # items
OURS = ("allcores", "allcores-clean", "allcores.Pool")
LIGHTEST = Pace(cold=1, warm=1)


@pytest.mark.parametrize("case", CASES)
def test_a_case_comes_to_the_same_by_the_loop_and_by_allcores(case, monkeypatch):
    monkeypatch.setattr(large, "BIG_LENGTH", 1 << 10)
    names = [name for name in OURS if name in ALWAYS or name in CASES[case].extras]
    summaries = {name: play(name, case) for name in names}
    if case != "import":  # which prints nothing
        assert summaries["allcores"]
    assert summaries == dict.fromkeys(names, play("loop", case))


def play(name, case):
    """Have a peer do a case cold and warm; give the summary of both."""
    stage = Stage(make_peer(name), workers=2)
    try:
        stage.prepare(case, TINY)
        cold, warm = stage.round(), stage.round()
    finally:
        stage.close()
    assert cold["summary"] == warm["summary"]
    assert min(cold["seconds"], warm["seconds"]) >= 0
    return cold["summary"]


def test_every_peer_is_known_and_imports_its_library_late():
    assert {name for case in CASES.values() for name in case.extras} <= set(PEERS)
    assert all(isinstance(make_peer(name), Peer) for name in PEERS)


def test_every_target_names_peers_that_take_part():
    for case in CASES.values():
        known = {*ALWAYS, *case.extras, "lower bound"}
        assert all({target.who, target.versus} <= known for target in case.targets), case.name


def test_peers_take_turns_and_their_memory_is_seen():
    case = replace(CASES["tuples"], count=TINY)
    with Players(2, LIGHTEST) as players:
        figures = Performance(case, ("loop", "allcores", "Pool"), players, LIGHTEST).measure()
    for name, each in figures.items():
        assert (len(each.seconds["cold"]), len(each.seconds["warm"]), each.reason) == (1, 1, ""), name
        assert each.root > 1e6
        assert each.tree > 1e6


def test_a_wrong_result_is_told_instead_of_a_time():
    case = replace(CASES["tuples"], count=TINY, digest=None)
    with Players(2, LIGHTEST) as players:
        performance = Performance(case, ("Pool",), players, LIGHTEST)
        performance._summaries[TINY] = "another"
        figures = performance.measure()["Pool"]
    assert figures.median("cold") is None
    assert figures.reason == "gives another result than the loop"


def test_what_a_peer_cannot_do_is_told():
    player = Player("bare-forks", workers=2, patience=30)
    try:
        player.prepare("calls", TINY)
        with pytest.raises(Reason, match="has no single call"):
            player.round()
    finally:
        player.close()


def test_a_peer_whose_process_dies_is_told(monkeypatch):
    monkeypatch.setitem(PEERS, "loop", "nowhere:Nobody")
    monkeypatch.setattr("benchmarks.player.make_peer", lambda name: Peer())
    player = Player("no such peer", workers=2, patience=30)
    try:
        with pytest.raises(Reason, match="KeyError: 'no such peer'"):
            player.prepare("calls", TINY)
    finally:
        player.close()


def test_memory_counts_what_a_process_used_meanwhile():
    player = Player("loop", workers=1, patience=30)
    try:
        player.prepare("large-results", 3)
        with MemorySampler(player.pid, counts_root=True) as sampler:
            player.round()
    finally:
        player.close()
    assert sampler.root > 24e6


def figures_of(cold, warm, **more):
    return Figures(**{"count": 1, "full": 1, "seconds": {"cold": cold, "warm": warm}, **more})


def test_the_table_tells_ratios_targets_scale_and_reasons():
    case = CASES["million"]
    figures = {
        "loop": figures_of([2.0], [0.9, 1.0, 5.0]),
        "allcores": figures_of([1.0], [0.5, 0.5], root=20_000_000, tree=30_000_000),
        "Pool": figures_of([2.0], [1.0]),
        "Dask": figures_of([0.1], [], count=10, full=1000, reason="no result within 60 s"),
    }
    rows = {row.split(" | ")[0]: row for row in case_table(case, figures, workers=2).replace("\n| ", "\n").splitlines()}
    assert "2.00 s | 2.00 | 1.00 s | 2.00" in rows["loop"]
    assert "at most 1 x this: 0.5 met" in rows["loop"]
    assert "20 MB | 30 MB" in rows["allcores"]
    assert "at most 0.4 x this: 0.5 **missed**" in rows["Pool"]
    assert "10.00 s | 10.00" in rows["Dask"]
    assert "no result within 60 s; ran 10 items, time scaled up from them" in rows["Dask"]


def test_the_targets_are_told_together():
    case = CASES["longest-last"]
    table = target_table([case, CASES["script"]], {case.name: {"allcores": figures_of([], [2.1])}, "script": {}}, 2)
    assert re.search(r"shortest first.*\| 1\.12 x lower bound \| 1\.05 \| met \|", table)
    assert "not measured" in table


DRAWING = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from benchmarks.cases import CASES
from benchmarks.plot import plot_cases, plot_scaling
from benchmarks.rounds import Figures
def figures(cold, warm): return Figures(1, 1, {{"cold": cold, "warm": warm}})
peers = {{"loop": figures([1.0], [1.0]), "allcores": figures([2.0], [0.5]), "Dask": figures([], [])}}
plot_cases("peers.svg", [CASES["million"]], {{"million": peers}})
plot_scaling("scaling.svg", {{"1 ms": {{"allcores": {{1: 1.0, 2: 0.9}}}}, "10 ms": {{"Pool": {{1: 1, 2: 1}}}}}})
"""


def test_the_plots_can_be_drawn(run_python, tmp_path):  # elsewhere, as matplotlib keeps its fonts open
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    run_python(DRAWING)
    assert all("</svg>" in (tmp_path / name).read_text() for name in ("peers.svg", "scaling.svg"))


@pytest.mark.parametrize("feature", FEATURES)
def test_what_is_cut_out_to_see_its_cost_is_still_there(feature):
    methods = [(cut.owner, cut.method, getattr(cut.owner, cut.method)) for cut in FEATURES[feature]]
    with cut_out(FEATURES[feature]):
        assert all(getattr(owner, name) is not method for owner, name, method in methods)
        assert allcores.map(abs, range(-100, 0)) == [*range(100, 0, -1)]
    assert all(getattr(owner, name) is method for owner, name, method in methods)


def test_scaling_asks_for_all_cores():
    assert [list(worker_counts(cores)) for cores in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]


@pytest.mark.parametrize("table", TABLES)
def test_costs_are_told(table, monkeypatch):
    monkeypatch.setattr("benchmarks.cost.NAP_SECONDS", 0.01)
    rows = TABLES[table](Size(rounds=1, calls=10, milliseconds=8, million=100, workers=(2,))).splitlines()
    assert len({row.count("|") for row in rows}) == 1
    assert any("allcores" in row for row in rows[2:])


def test_simulated_nodes_settle_all_whoever_dies():
    run = Simulation(20, 400, 1.0, life_seconds=50.0)
    run.run()
    assert run._scheduler.settled == 400
    assert run.deaths == run._scheduler.deaths > 0


def test_a_driver_that_is_slow_has_its_workers_wait():
    efficiencies = []
    for driver_seconds in (0.001, 0.1):
        run = Simulation(20, 400, 1.0, driver_seconds=driver_seconds)
        run.run()
        efficiencies.append(20 / run.now)
    assert efficiencies[0] > 0.9
    assert efficiencies[1] < 0.6


def test_the_simulated_scheduler_settles_all():
    assert simulate(3, 100, 10, death_rate=0.2).settled == 100
