"""PyTorch's generators, which it shares out as `random` and `numpy.random` do theirs: each item's own, and put back."""

from __future__ import annotations

import os
import random
import sys
import types
from typing import Any

import pytest
from gate import Meeting

import allcores

pytestmark = pytest.mark.once


class PlayedGenerator(random.Random):
    """A generator of PyTorch's."""

    def manual_seed(self, seed: int) -> None:
        assert 0 <= seed < 1 << 64
        super().seed(seed)

    def get_state(self) -> Any:
        return super().getstate()

    def set_state(self, state: Any) -> None:
        super().setstate(state)


class PlayedTracker:
    """Remembers what GPUs that nobody has used are to be seeded with."""

    def __init__(self) -> None:
        self.waiting: int | None = None


class PlayedTorch(types.ModuleType):
    """What is used of PyTorch's generators: with a GPU that is in use, one that is not yet, or none."""

    def __init__(self, gpu: str) -> None:
        super().__init__("torch")
        self.default_generator, self.on_gpu, self.gpu = PlayedGenerator(), PlayedGenerator(), gpu
        self.backends = types.SimpleNamespace(cuda=types.SimpleNamespace(is_built=lambda: gpu != "none"))
        self.cuda = types.SimpleNamespace(
            is_initialized=lambda: self.gpu == "used",
            manual_seed_all=self._seed_gpu,
            seed_all=self.on_gpu.seed,
            get_rng_state_all=self.on_gpu.get_state,
            set_rng_state_all=self.on_gpu.set_state,
            _lazy_seed_tracker=PlayedTracker(),
        )

    def _seed_gpu(self, seed: int) -> None:
        if self.gpu == "used":
            self.on_gpu.manual_seed(seed ^ 1)  # whose numbers are others, for the same seed
        else:
            self.cuda._lazy_seed_tracker.waiting = seed

    def seed(self) -> None:
        self.default_generator.seed()
        self._seed_gpu(random.SystemRandom().getrandbits(64))

    def draw(self) -> tuple[float, ...]:
        """Draw on the CPU, and on the GPU, which begins when it is asked for."""
        if self.gpu == "none":
            return (self.default_generator.random(),)
        if self.gpu == "unused":
            self.gpu = "used"
            self._seed_gpu(self.cuda._lazy_seed_tracker.waiting)
        return self.default_generator.random(), self.on_gpu.random()

    def state(self) -> tuple[Any, ...]:
        state = self.default_generator.getstate(), self.on_gpu.getstate() if self.gpu == "used" else None
        return *state, self.cuda._lazy_seed_tracker.waiting


@pytest.fixture(params=["none", "unused", "used"])
def torch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> PlayedTorch:
    played = PlayedTorch(request.param)
    monkeypatch.setitem(sys.modules, "torch", played)
    return played


def draw(x: int) -> tuple[float, ...]:
    drawn: tuple[float, ...] = sys.modules["torch"].draw()
    return drawn


def test_with_a_seed_each_item_has_its_own_streams(torch):
    forked = allcores.map(draw, range(12), seed=7, workers=2, start="fork")
    assert len({number for numbers in forked for number in numbers}) == (12 if torch.gpu == "none" else 24)
    assert allcores.map(draw, range(12), seed=7, workers=1, batch=5, start="fork") == forked
    assert allcores.map(draw, range(12), seed=8, workers=2, start="fork") != forked
    assert allcores.map(draw, range(12), seed=7, batch=5, on="serial") == forked


def test_the_callers_own_streams_stay_where_they_were(torch):
    before = torch.state()
    allcores.map(lambda x: torch.default_generator.random(), range(12), seed=7, on="serial")
    assert torch.state() == before


def test_without_a_seed_forked_workers_draw_other_numbers(torch, tmp_path):
    meeting = Meeting(tmp_path)

    def run(x: int) -> tuple[int, tuple[float, ...]]:
        meeting.attend(x)
        return os.getpid(), draw(x)

    drawn = allcores.map(run, range(8), workers=2, batch=1, start="fork")
    assert len({pid for pid, _ in drawn}) == 2
    assert len({number for _, numbers in drawn for number in numbers}) == (8 if torch.gpu == "none" else 16)


def test_one_that_is_still_being_imported_is_left_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    assert allcores.map(abs, range(12), seed=7, on="serial") == list(range(12))


PLAYED = """
import random, types, sys
default_generator = random.Random()
default_generator.manual_seed = default_generator.seed
default_generator.get_state, default_generator.set_state = default_generator.getstate, default_generator.setstate
seed = default_generator.seed
def __getattr__(name):  # of settings
    return lambda *args, **kwargs: True
backends = types.SimpleNamespace(cuda=types.SimpleNamespace(is_built=lambda: False))
cuda = types.SimpleNamespace(is_initialized=lambda: False)
"""


def test_an_item_that_is_the_first_to_import_it_finds_it_seeded_and_leaves_the_callers_own_unseeded(
    run_python, tmp_path
):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "torch.py").write_text(PLAYED)
    done = run_python("""
import sys
sys.path.append(sys.path[0] + "/site-packages")
import allcores

def draw(x):
    import torch
    return torch.default_generator.random()

drawn = [
    allcores.map(draw, range(4), workers=workers, seed=3, start=start)
    for start in ("fork", "forkserver") for workers in (1, 2)
]
print("torch" in sys.modules)
finders = len(sys.meta_path)
drawn.append(allcores.map(draw, range(4), seed=3, on="serial"))
print(drawn[1:] == drawn[:-1], len(set(drawn[0])), len(sys.meta_path) - finders)
print(draw(0) in allcores.map(lambda x: (draw(x), draw(x))[1], range(4), seed=3, on="serial"))
""")
    assert done.stdout == "False\nTrue 4 0\nFalse\n"
