"""Which items are suspect."""

from __future__ import annotations

import random

from allcores._engines.executors.quarantine import Quarantine


def test_it_is_a_set_of_items() -> None:
    chance = random.Random(1)
    quarantine, suspects = Quarantine(), set[int]()
    for _ in range(500):
        start = chance.randrange(40)
        stop = start + chance.randrange(1, 10)
        if chance.random() < 0.5:
            quarantine.add(start, stop)
            suspects |= set(range(start, stop))
        else:
            quarantine.clear(start, stop)
            suspects -= set(range(start, stop))
        first = chance.randrange(50)
        behind = first + chance.randrange(1, 5)
        assert quarantine.has_any(first, behind) == bool(suspects & set(range(first, behind)))
        assert repr(quarantine) == f"<Quarantine: {len(suspects)} items>"
