"""Rectangles that are turned in the plane: exact overlap, and the choice among boxes that say the same.

One code for torch, which trains, and for numpy, which is all that a device has: ``xp`` is the module whose arrays are
given, and only what both modules have under one name is used.

The overlap of two rectangles is a convex polygon whose border consists of pieces of their sides. Its area is half the
sum of the cross products of the ends of these pieces (Green's theorem), in any order. So each side of one rectangle is
cut with the other one, in whose frame that is an interval of the side; no polygon is built, sorted or looped over.
"""

from __future__ import annotations

from typing import Any

BEV = (0, 1, 3, 4, 6)
"""The columns of a box (x, y, z, length, width, height, heading) that are its rectangle seen from above."""
PARALLEL = 1e-8
"""Sides are taken as parallel below this sine of their angle, where cutting would lose more than doing so."""

_SIDES = ((0.5, 0.5, "length", -1), (-0.5, 0.5, "width", -1), (-0.5, -0.5, "length", 1), (0.5, -0.5, "width", 1))
"""The four sides counter-clockwise: where each starts in units of length and width, and the way it goes."""


def overlap_area(xp: Any, a: Any, b: Any) -> Any:
    """Return the area (...) that rectangles ``a`` and ``b`` have in common; the shapes broadcast.

    It is exact up to rounding in float64, which the arrays should have; where sides are nearly parallel, up to 3e-7 of
    the larger area.

    Args:
        xp: ``torch`` or ``numpy``.
        a: (...,5): x, y of the centre, length, width, and the angle of the length in radians, counter-clockwise from x.
        b: (...,5), alike.
    """
    a_length, a_width, b_length, b_width = a[..., 2], a[..., 3], b[..., 2], b[..., 3]
    cos_b, sin_b = xp.cos(b[..., 4]), xp.sin(b[..., 4])
    dx, dy = a[..., 0] - b[..., 0], a[..., 1] - b[..., 1]
    x, y = cos_b * dx + sin_b * dy, cos_b * dy - sin_b * dx  # the centre of a in the frame of b
    cos, sin = xp.cos(a[..., 4] - b[..., 4]), xp.sin(a[..., 4] - b[..., 4])
    doubled = 0.0
    for share, moment in _sides(xp, x, y, cos, sin, (a_length, a_width), (b_length, b_width)):
        doubled = doubled + share * moment
    there = -(cos * x + sin * y), sin * x - cos * y  # the centre of b in the frame of a
    for share, _ in _sides(xp, *there, cos, -sin, (b_length, b_width), (a_length, a_width)):
        doubled = doubled + share * (b_length * b_width / 2)
    lengthwise, crosswise = xp.abs(sin) < PARALLEL, xp.abs(cos) < PARALLEL
    along = xp.where(crosswise, a_width, a_length), xp.where(crosswise, a_length, a_width)
    parallel = _interval(xp, x, along[0], b_length) * _interval(xp, y, along[1], b_width)
    return xp.where(lengthwise | crosswise, parallel, xp.clip(doubled / 2, 0, None))


def _sides(xp: Any, x: Any, y: Any, cos: Any, sin: Any, size: tuple[Any, Any], box: tuple[Any, Any]) -> Any:
    """Yield for each side of a rectangle which share of it lies in a box around the origin, and its moment.

    The moment is the cross product of the ends of the side.
    """
    forward_x, forward_y, left_x, left_y = cos * size[0], sin * size[0], -sin * size[1], cos * size[1]
    steps = {"length": (forward_x, forward_y), "width": (left_x, left_y)}
    cuts = {name: [_cut(xp, step, side) for step, side in zip(both, box, strict=True)] for name, both in steps.items()}
    for ahead, beside, name, sign in _SIDES:
        start_x = x + (ahead * forward_x + beside * left_x)
        start_y = y + (ahead * forward_y + beside * left_y)
        (per_x, reach_x), (per_y, reach_y) = cuts[name]
        middle_x, middle_y = start_x * (-sign * per_x), start_y * (-sign * per_y)
        enters = xp.clip(xp.maximum(middle_x - reach_x, middle_y - reach_y), 0, None)
        leaves = xp.clip(xp.minimum(middle_x + reach_x, middle_y + reach_y), None, 1)
        step_x, step_y = steps[name]
        yield xp.clip(leaves - enters, 0, None), sign * (start_x * step_y - start_y * step_x)


def _cut(xp: Any, step: Any, side: Any) -> tuple[Any, Any]:
    """Return 1 / step, and how far from its middle a step from one end of a side to the other is still in the box.

    Both are in units of the step; a step of 0 belongs to a side without length and is taken as 1.
    """
    per = 1 / xp.where(step == 0, 1.0, step)
    return per, side / 2 * xp.abs(per)


def _interval(xp: Any, centre: Any, size: Any, other: Any) -> Any:
    """Return how much an interval around ``centre`` has in common with one around 0."""
    upper = xp.minimum(centre + size / 2, other / 2)
    return xp.clip(upper - xp.maximum(centre - size / 2, -other / 2), 0, None)


def corners(xp: Any, rectangles: Any) -> Any:
    """Return the corners (...,4,2) of rectangles (...,5), counter-clockwise from the one ahead on the left."""
    x, y, length, width = (rectangles[..., k] for k in range(4))
    cos, sin = xp.cos(rectangles[..., 4]), xp.sin(rectangles[..., 4])
    found = []
    for ahead, beside, *_ in _SIDES:
        along, across = ahead * length, beside * width
        found.append(xp.stack([x + cos * along - sin * across, y + sin * along + cos * across], -1))
    return xp.stack(found, -2)


def overlap_areas(xp: Any, a: Any, b: Any) -> Any:
    """Return the area (N,M) that each of the rectangles (N,5) has in common with each of (M,5); see `overlap_area`."""
    rows, columns, apart = _near(xp, a, b)
    return _matrix(xp, apart, rows, columns, overlap_area(xp, a[rows], b[columns]))


def bev_ious(xp: Any, a: Any, b: Any) -> Any:
    """Return the intersection over union (N,M) of rectangles (N,5) and (M,5), 0 where neither has an area."""
    rows, columns, apart = _near(xp, a, b)
    return _matrix(xp, apart, rows, columns, _ious(xp, a[rows], b[columns]))


def left_by_overlap(xp: Any, rectangles: Any, threshold: float) -> Any:
    """Return which of K rectangles (K,5) are left if one falls to any better one that it overlaps too much, (K,) bool.

    Args:
        xp: ``torch`` or ``numpy``.
        rectangles: In order of falling score.
        threshold: The intersection over union beyond which the worse one falls.
    """
    rows, columns, _ = _near(xp, rectangles, rectangles)
    above = rows < columns
    rows, columns = rows[above], columns[above]
    more = _ious(xp, rectangles[rows], rectangles[columns]) > threshold
    return _survivors(xp, rectangles, rows[more], columns[more])


def left_by_distance(xp: Any, centres: Any, threshold: float) -> Any:
    """Return which of K points (K,2) are left if one falls to any better one that is too near, (K,) bool.

    Args:
        xp: ``torch`` or ``numpy``.
        centres: In order of falling score.
        threshold: The squared distance up to which the worse one falls.
    """
    dx, dy = (centres[:, axis][:, None] - centres[:, axis][None] for axis in (0, 1))
    rows, columns = xp.where(dx * dx + dy * dy <= threshold)
    above = rows < columns
    return _survivors(xp, centres, rows[above], columns[above])


def _survivors(xp: Any, boxes: Any, rows: Any, columns: Any) -> Any:
    """Return which boxes (K,...) are left if each of ``columns`` falls to that of ``rows``, a better one that is left.

    This is greedy non-maximum suppression, for all boxes at once: what is left is found again and again until it stays
    the same, which takes as many rounds as the longest chain of boxes of which each would fall to the one before.
    """
    left = boxes[:, 0] == boxes[:, 0]
    while True:
        still = xp.ones_like(left)
        still[columns[left[rows]]] = False
        if (still == left).all():
            return left
        left = still


def _near(xp: Any, a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Return the pairs whose circumscribed circles meet, rows and columns, and the distance (N,M) of all along x.

    Pairs whose circles do not meet have nothing in common.
    """
    dx, dy = a[:, 0][:, None] - b[:, 0][None], a[:, 1][:, None] - b[:, 1][None]
    reach = [xp.sqrt(side[:, 2] ** 2 + side[:, 3] ** 2) / 2 for side in (a, b)]
    rows, columns = xp.where(dx * dx + dy * dy < (reach[0][:, None] + reach[1][None]) ** 2)
    return rows, columns, dx


def _matrix(xp: Any, like: Any, rows: Any, columns: Any, values: Any) -> Any:
    """Return a matrix with the values of some pairs, and 0 elsewhere."""
    matrix = xp.zeros_like(like, dtype=values.dtype)
    matrix[rows, columns] = values
    return matrix


def _ious(xp: Any, a: Any, b: Any) -> Any:
    shared = overlap_area(xp, a, b)
    union = a[:, 2] * a[:, 3] + b[:, 2] * b[:, 3] - shared
    return xp.where(union > 0, shared / xp.where(union > 0, union, 1.0), 0.0)
