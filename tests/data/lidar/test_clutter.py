from collections import Counter

import numpy as np
import pytest

from limbeck.data.lidar import clutter, road_users
from limbeck.data.lidar.plan import HEADROOM_M
from limbeck.data.lidar.solids import extent

LISTS = (clutter.AT_THE_KERB, clutter.BEHIND, clutter.ON_THE_STRIP)
BUILDERS = {builder for kinds in LISTS for builder, _ in kinds}


@pytest.mark.parametrize("builder", sorted(BUILDERS, key=lambda builder: builder.__name__), ids=lambda b: b.__name__)
def test_a_thing_has_no_gap_under_it_and_reflects_a_share_of_the_light(builder):
    for seed in range(50):
        parts = builder(np.random.default_rng(seed))
        assert extent(parts)[2][0] <= 0
        assert all(0 <= piece.reflectance <= 1 for piece in parts)
        assert all(low < high for piece in parts for low, high in piece.spans)


def test_a_car_fits_under_every_crown():
    highest = max(high for kind in road_users.CAR_KINDS for high in kind.height)
    for seed in range(200):
        _, *crown = clutter.tree(np.random.default_rng(seed))
        assert min(piece.spans[2][0] for piece in crown) >= HEADROOM_M > highest


@pytest.mark.parametrize("kinds", LISTS)
def test_things_come_as_often_as_their_shares_say(kinds):
    assert sum(share for _, share in kinds) == pytest.approx(1)
    made = Counter()
    counted = tuple((lambda rng, name=builder.__name__: made.update([name]), share) for builder, share in kinds)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        clutter.any_of(rng, counted)
    for builder, share in kinds:
        assert made[builder.__name__] / 2000 == pytest.approx(share, abs=0.04)


def test_some_things_look_like_what_is_to_be_found():
    def breadths_and_heights(builder):
        spans = [extent(builder(np.random.default_rng(seed))) for seed in range(50)]
        return np.array([(left - right, top) for _, (right, left), (_, top) in spans]).T

    breadth, height = breadths_and_heights(clutter.container)
    assert ((breadth > 1.6) & (height > 1.4)).sum() > 10, "cars"
    breadth, height = breadths_and_heights(clutter.meter)
    assert ((breadth > 0.35) & (height > 1.5)).sum() > 10, "pedestrians"
