import math

import numba

from limbeck.ops.compiled import compiled


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(monkeypatch):
    njit = numba.njit

    def without_a_place(function, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function 'double': no locator available")
        return njit(function, **options)

    monkeypatch.setattr(numba, "njit", without_a_place)
    halve = compiled(lambda number: 1 / number)
    assert halve(4) == 0.25
    assert halve(0) == math.inf
