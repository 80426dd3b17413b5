"""Whatever is killed, stopped or interrupted, nothing is lost: the fault campaign of `make faults`, in short."""

from __future__ import annotations

import pytest
from faults.__main__ import Campaign
from faults.scenario import Fault

pytestmark = pytest.mark.once

SEED = 1
FEW = 6  # faults of the kind that leads, in a scenario


@pytest.fixture(scope="module")
def campaign():
    campaign = Campaign(SEED, range(len(Fault)), enough=10_000, seconds=120, per_scenario=FEW)
    campaign.run()
    return campaign


@pytest.mark.timeout(180)
def test_nothing_is_lost(campaign):
    assert campaign.tally.losses == 0
    assert campaign.tally.scenarios == len(Fault)


@pytest.mark.parametrize("fault", Fault)
def test_each_kind_of_fault_was_injected(campaign, fault):
    assert campaign.tally.survived[fault] >= 1
