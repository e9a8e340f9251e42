from dataclasses import replace

import pytest
import torch

from limbeck.ops.inverse_depth import Intrinsics, only_measured, span
from limbeck.ops.normals import (
    flip_normals,
    normals_from_depth,
    normals_from_disparity,
    resize_normals,
)

CAMERA = Intrinsics(110.0, 118.0, 27.3, 15.6)
SIZE = (40, 56)
PLANES = [(0.02, -1.0, -0.06), (0.44, -0.176, -0.88), (0.1, -0.9, -0.4), (0.0, 0.0, -1.0)]


def rays(size=SIZE, camera=CAMERA):
    rows, columns = torch.meshgrid(*(torch.arange(n, dtype=torch.double) for n in size), indexing="ij")
    return torch.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, torch.ones(size)])


def plane(normal):
    """The depth (H,W) of a plane five metres away, 0 where it is out of view, and its normal (3,1,1)."""
    normal = torch.tensor(normal, dtype=torch.double)
    normal = (normal / normal.norm())[:, None, None]
    towards = -(normal * rays()).sum(0)
    return torch.where(towards > 0.02, 5 / towards, 0.0), normal


def sphere(centre=(0.3, -0.2, 9.0), radius=3.0):
    """The depth of a sphere, 0 beside it, its outward normals, and where it is not seen at a grazing angle."""
    c, r = torch.tensor(centre, dtype=torch.double)[:, None, None], rays()
    a, b = r.square().sum(0), (r * c).sum(0)
    root = b.square() - a * (c.square().sum() - radius**2)
    depth = torch.where(root > 0, (b - root.clamp(min=0).sqrt()) / a, 0.0)
    outwards = (depth * r - c) / radius
    return depth, outwards, (root > 0) & (-(outwards * r).sum(0) > 0.3 * a.sqrt())


def wavy(size=SIZE):
    rows, columns = torch.meshgrid(*(torch.arange(n, dtype=torch.double) for n in size), indexing="ij")
    return 8 + (columns / 5).sin() + (rows / 7).cos() + 0.02 * rows


def with_holes(depth, share=0.1):
    torch.manual_seed(0)
    kinds = torch.tensor([0.0, -1.0, torch.nan, torch.inf], dtype=depth.dtype)
    holes = torch.rand(depth.shape) < share
    return torch.where(holes, kinds[torch.randint(4, depth.shape)], depth), holes


def degrees(a, b):
    a, b = torch.broadcast_tensors(a.double(), b.double())
    return torch.rad2deg(torch.atan2(torch.linalg.cross(a, b, dim=-3).norm(dim=-3), (a * b).sum(-3)))


def slow(depth, camera):
    """Pixel by pixel, from the text of the formula."""
    height, width = depth.shape
    known = (depth > 0) & (depth < torch.inf)
    normals, valid = torch.zeros(3, height, width, dtype=torch.double), torch.zeros(height, width, dtype=torch.bool)
    normals[2] = -1

    def slope(v, u, step_v, step_u):
        there = []
        for sign in (1, -1):
            row, column = v + sign * step_v, u + sign * step_u
            if 0 <= row < height and 0 <= column < width and known[row, column]:
                there.append(sign * (1 / depth[row, column] - 1 / depth[v, u]))
        return sum(there) / len(there) if there else None

    for v in range(height):
        for u in range(width):
            d_u, d_v = slope(v, u, 0, 1), slope(v, u, 1, 0)
            if known[v, u] and d_u is not None and d_v is not None:
                z = 1 / depth[v, u] - (u - camera.cx) * d_u - (v - camera.cy) * d_v
                vector = -torch.stack([camera.fx * d_u, camera.fy * d_v, z])
                normals[:, v, u], valid[v, u] = vector / vector.norm(), True
    return normals, valid


def with_graph(depth, camera=CAMERA, orientation="towards_camera"):
    """The way that is taken where a gradient is needed."""
    normals, valid = normals_from_depth(depth.clone().requires_grad_(), camera, orientation)
    return normals.detach(), valid


@pytest.fixture(params=[normals_from_depth, with_graph], ids=["one pass", "graph"])
def from_depth(request):
    return request.param


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6])
def test_against_a_loop(from_depth, share):
    depth, _ = with_holes(wavy((11, 13)), share)
    normals, valid = from_depth(depth, CAMERA)
    expected, has_normal = slow(depth, CAMERA)
    assert torch.equal(valid, has_normal)
    assert valid.any()
    torch.testing.assert_close(normals, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("normal", PLANES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_planes_are_exact_up_to_the_border(from_depth, normal, dtype):
    depth, expected = plane(normal)
    normals, valid = from_depth(depth.to(dtype), CAMERA)
    assert normals.dtype == dtype
    assert valid[depth > 0].float().mean() > 0.95
    assert degrees(normals, expected)[valid].max() < 0.01


@pytest.mark.parametrize("normal", PLANES[1:])
def test_planes_are_exact_beside_holes(from_depth, normal):
    depth, expected = plane(normal)
    depth, holes = with_holes(depth)
    normals, valid = from_depth(depth, CAMERA)
    assert valid[~holes].double().mean() > 0.9
    assert not valid[holes].any()
    assert degrees(normals, expected)[valid].max() < 0.01


@pytest.mark.parametrize(("centre", "radius", "mean"), [((0.3, -0.2, 9.0), 3.0, 0.02), ((-0.2, 0.1, 5.0), 1.1, 0.15)])
def test_spheres(from_depth, centre, radius, mean):
    depth, expected, frontal = sphere(centre, radius)
    normals, valid = from_depth(depth, CAMERA)
    inner = frontal & valid
    inner[0] = inner[-1] = inner[:, 0] = inner[:, -1] = False
    assert degrees(normals, expected)[inner].mean() < mean


@pytest.mark.parametrize("orientation", ["towards_camera", "up"])
def test_both_ways_give_the_same_numbers(orientation):
    for share in (0.0, 0.02, 0.5, 0.97):
        depth, _ = with_holes(wavy().float(), share)
        expected, has_normal = with_graph(depth, orientation=orientation)
        normals, valid = normals_from_depth(depth, CAMERA, orientation)
        assert torch.equal(valid, has_normal)
        torch.testing.assert_close(normals, expected, rtol=0, atol=2e-5)


def test_depth_and_scaled_disparity_agree(from_depth):
    depth, _ = with_holes(wavy())
    expected, has_normal = from_depth(depth, CAMERA)
    for factor in (1.0, 385.2, 1e-3):
        normals, valid = normals_from_disparity(factor / depth, CAMERA)
        assert torch.equal(valid, has_normal)
        torch.testing.assert_close(normals, expected, rtol=0, atol=1e-9)


def test_orientations(from_depth):
    depth = wavy()
    normals, _ = from_depth(depth, CAMERA)
    assert (normals * rays()).sum(0).max() < 0
    upwards, _ = from_depth(depth, CAMERA, "up")
    assert upwards[1].max() <= 0
    turned = normals[1] > 0
    assert turned.any()
    torch.testing.assert_close(upwards, torch.where(turned, -normals, normals), rtol=0, atol=0)


def test_a_single_missing_neighbour_costs_no_normal_and_two_do(from_depth):
    depth = wavy((5, 7))
    depth[2, 2] = 0
    valid = from_depth(depth, CAMERA)[1]
    assert (~valid).nonzero().tolist() == [[2, 2]]
    depth[2, 4] = torch.nan
    normals, valid = from_depth(depth, CAMERA)
    assert (~valid).nonzero().tolist() == [[2, 2], [2, 3], [2, 4]]
    assert normals[:, ~valid].T.tolist() == [[0, 0, -1]] * 3


@pytest.mark.parametrize("value", [0.0, -2.0, torch.nan, torch.inf])
@pytest.mark.parametrize("size", [(4, 5), (1, 6), (6, 1), (1, 1)])
def test_nothing_measured_gives_no_normal(from_depth, value, size):
    normals, valid = from_depth(torch.full(size, value), CAMERA)
    assert not valid.any()
    assert torch.equal(normals, torch.tensor([0.0, 0.0, -1.0])[:, None, None].expand(3, *size))


def test_a_single_row_or_column_has_no_normal(from_depth):
    for size in ((1, 6), (6, 1)):
        assert not from_depth(torch.ones(size), CAMERA)[1].any()


def test_numbers_too_large_for_their_square_give_no_normal(from_depth):
    normals, valid = from_depth(torch.full((4, 5), 1e-30), CAMERA)
    assert not valid.any()
    assert normals.isfinite().all()


def test_batch_equals_single(from_depth):
    maps = torch.stack([wavy(), with_holes(wavy())[0], plane(PLANES[1])[0]]).float()
    normals, valid = from_depth(maps.view(3, 1, *SIZE), CAMERA)
    assert normals.shape == (3, 1, 3, *SIZE)
    for one, its_normals, its_valid in zip(maps, normals, valid, strict=True):
        expected, has_normal = from_depth(one, CAMERA)
        assert torch.equal(its_normals[0], expected)
        assert torch.equal(its_valid[0], has_normal)


def test_the_depth_is_not_changed_and_may_be_any_view():
    depth = with_holes(wavy().float())[0]
    before = depth.clone()
    turned = normals_from_depth(depth.T.contiguous().T, CAMERA)
    for value, expected in zip(turned, normals_from_depth(depth, CAMERA), strict=True):
        assert torch.equal(value, expected)
    assert torch.equal(depth.nan_to_num(7), before.nan_to_num(7))


def test_bfloat16_is_widened(from_depth):
    normals, valid = from_depth(wavy().to(torch.bfloat16), CAMERA)
    assert normals.dtype == torch.float32
    assert valid.all()
    assert normals.isfinite().all()


@pytest.mark.parametrize("share", [0.0, 0.15])
def test_gradient(share):
    depth = with_holes(wavy((5, 6)), share)[0]
    measured = only_measured(depth).isfinite()
    known = depth[measured].requires_grad_()

    def normals(values):
        return normals_from_depth(depth.masked_scatter(measured, values), CAMERA)[0]

    assert torch.autograd.gradcheck(normals, known)
    leaf = depth.clone().requires_grad_()
    normals_from_depth(leaf, CAMERA)[0].square().sum().backward()
    assert leaf.grad.isfinite().all()
    assert not leaf.grad[~measured].any()


def test_span_takes_what_there_is():
    nan = torch.nan
    before, centre, after = torch.tensor([[1.0, nan, 1.0, nan], [2.0, 2.0, 2.0, 2.0], [5.0, 5.0, nan, nan]])
    assert span(before, centre, after).nan_to_num(-1).tolist() == [4.0, 6.0, 2.0, -1.0]


def test_mirrored_depth_has_flipped_normals(from_depth):
    depth, _ = with_holes(wavy())
    mirrored = replace(CAMERA, cx=SIZE[1] - 1 - CAMERA.cx)
    normals, valid = from_depth(depth, CAMERA)
    seen_in_mirror, valid_in_mirror = from_depth(depth.flip(-1), mirrored)
    assert torch.equal(valid.flip(-1), valid_in_mirror)
    torch.testing.assert_close(flip_normals(normals), seen_in_mirror, rtol=0, atol=1e-12)
    torch.testing.assert_close(flip_normals(flip_normals(normals)), normals, rtol=0, atol=0)


@pytest.mark.parametrize("size_hw", [(20, 28), (13, 17), (80, 112), SIZE])
def test_resized_normals_are_of_unit_length_and_near(size_hw):
    depth, _ = plane(PLANES[1])
    normals, _ = normals_from_depth(depth, CAMERA)
    resized = resize_normals(normals.expand(2, 3, *SIZE), size_hw)
    assert resized.shape == (2, 3, *size_hw)
    assert degrees(resized, normals[:, :1, :1]).max() < 0.01
    wave = resize_normals(normals_from_depth(wavy(), CAMERA)[0], size_hw)
    torch.testing.assert_close(wave.norm(dim=0), torch.ones(size_hw, dtype=torch.double))


def test_resizing_leaves_out_what_is_zero_and_names_no_direction_where_there_is_none():
    normals = torch.zeros(3, 4, 8)
    normals[0, :, 0] = 1
    assert resize_normals(normals, (2, 4))[:, 0].T.tolist() == [[1, 0, 0]] + [[0, 0, -1]] * 3
    opposite = torch.zeros(3, 2, 2)
    opposite[0] = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert resize_normals(opposite, (1, 1)).flatten().tolist() == [0, 0, -1]


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (
            lambda: normals_from_depth(torch.ones(5), CAMERA),
            r"depth must be floats \(...,H,W\), not torch.float32 \(5,\)",
        ),
        (lambda: normals_from_depth(torch.ones(4, 5, dtype=torch.int32), CAMERA), r"not torch.int32 \(4, 5\)"),
        (lambda: normals_from_disparity(torch.ones(()), CAMERA), r"disparity must be floats .* \(\)"),
        (lambda: flip_normals(torch.ones(4, 4, 5)), r"normals must be floats \(...,3,H,W\), .* \(4, 4, 5\)"),
        (lambda: resize_normals(torch.ones(4, 5), (2, 2)), r"normals must be floats \(...,3,H,W\), .* \(4, 5\)"),
    ],
)
def test_wrong_shapes_are_named(call, problem):
    with pytest.raises(ValueError, match=problem):
        call()
