from dataclasses import replace

import pytest
import torch

from limbeck.ops.inverse_depth import Intrinsics
from limbeck.ops.normals import normals_from_depth
from limbeck.ops.normals_released import d2nt_normals, sne_normals

CAMERA = Intrinsics(30.0, 30.0, 5.2, 3.4)
SIZE = (9, 12)


def grid():
    return torch.meshgrid(*(torch.arange(n, dtype=torch.double) for n in SIZE), indexing="ij")


def wavy():
    rows, columns = grid()
    return 8 + 0.3 * (columns / 3).sin() + 0.2 * (rows / 2).cos() + 0.02 * rows


def road(camera=CAMERA):
    """A level road 1.5 m below the camera; nothing above the horizon."""
    rows, _ = grid()
    return torch.where(rows > camera.cy, 1.5 * camera.fy / (rows - camera.cy), 0.0)


def slow_sne(depth, camera):
    """The angles of the release for the pixels off the frame, one by one."""
    height, width = depth.shape
    normals = torch.zeros(3, height, width, dtype=torch.double)

    def point(v, u):
        z = depth[v, u]
        return torch.stack([z * (u - camera.cx) / camera.fx, z * (v - camera.cy) / camera.fy, z])

    for v in range(1, height - 1):
        for u in range(1, width - 1):
            nx = camera.fx * (1 / depth[v, u + 1] - 1 / depth[v, u - 1])
            ny = camera.fy * (1 / depth[v + 1, u] - 1 / depth[v - 1, u])
            phi = torch.atan(ny / nx) + torch.pi
            total = torch.zeros(3, dtype=torch.double)
            for row in (v - 1, v, v + 1):
                for column in (u - 1, u, u + 1):
                    dx, dy, dz = point(v, u) - point(row, column)
                    vector = torch.stack([nx, ny, (nx * dx + ny * dy) / dz])
                    total += (vector / vector.norm()).nan_to_num(0)
            theta = -torch.atan((total[0] * phi.cos() + total[1] * phi.sin()) / total[2])
            n = torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()])
            normals[:, v, u] = -n if n[1] > 0 else n
    return normals


def test_sne_against_the_angles_of_the_release():
    normals, valid = sne_normals(wavy(), CAMERA)
    assert valid.all()
    torch.testing.assert_close(normals[:, 1:-1, 1:-1], slow_sne(wavy(), CAMERA)[:, 1:-1, 1:-1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("camera", [CAMERA, replace(CAMERA, fy=50.0)])
def test_sne_of_a_road_points_up(camera):
    normals, valid = sne_normals(road(camera), camera)
    assert valid.sum() == 5 * SIZE[1]
    torch.testing.assert_close(normals[1, valid], -torch.ones(5 * SIZE[1], dtype=torch.double), rtol=0, atol=1e-6)


def test_sne_takes_the_reciprocal_of_a_disparity():
    torch.testing.assert_close(sne_normals(wavy() / 385, CAMERA)[0], sne_normals(wavy(), CAMERA)[0], rtol=0, atol=1e-6)


def test_rows_above_the_horizon_are_blanked_when_asked():
    everywhere, _ = sne_normals(wavy(), CAMERA)
    normals, valid = sne_normals(wavy(), CAMERA, blank_above_horizon=True)
    assert valid.any(dim=1).tolist() == [row > CAMERA.cy for row in range(SIZE[0])]
    assert torch.equal(normals[:, 4:], everywhere[:, 4:])
    assert normals[:, :4].flatten(1).unique(dim=1).flatten().tolist() == [0, 0, -1]


def test_sne_holes_and_a_wall():
    depth = wavy()
    depth[4, 5] = torch.nan
    normals, valid = sne_normals(depth, CAMERA)
    assert (~valid).nonzero().tolist() == [[4, 5]]
    assert normals[:, 4, 5].tolist() == [0, 0, -1]
    torch.testing.assert_close(normals.norm(dim=0), torch.ones(SIZE, dtype=torch.double))
    wall, valid = sne_normals(torch.full(SIZE, 5.0), CAMERA)
    assert valid.all()
    assert wall.flatten(1).unique(dim=1).flatten().tolist() == [0, 0, -1]


def test_d2nt_is_its_formula_and_less_exact_than_ours_on_a_plane():
    rows, columns = grid()
    depth = 5 / (1 + 0.01 * (columns - CAMERA.cx) - 0.02 * (rows - CAMERA.cy))
    exact, _ = normals_from_depth(depth, CAMERA)
    normals, valid = d2nt_normals(depth, CAMERA)
    assert valid.all()
    assert 1e-3 < (normals - exact)[:, 1:-1, 1:-1].norm(dim=0).mean() < 0.05
    z_u, z_v = (depth[4, 7] - depth[4, 5]) / 2, (depth[5, 6] - depth[3, 6]) / 2
    z = -(depth[4, 6] + (7 - CAMERA.cx) * z_u + (5 - CAMERA.cy) * z_v)
    vector = torch.stack([CAMERA.fx * z_u, CAMERA.fy * z_v, z])
    torch.testing.assert_close(normals[:, 4, 6], vector / vector.norm())
    assert normals[0, :, 0].tolist() == [0] * SIZE[0]


@pytest.mark.parametrize("form", [sne_normals, d2nt_normals])
def test_released_forms_on_batches_bfloat16_nothing_and_wrong_shapes(form):
    batch = torch.stack([wavy(), road()]).float()
    for one, normals, valid in zip(batch, *form(batch, CAMERA), strict=True):
        assert torch.equal(normals, form(one, CAMERA)[0])
        assert torch.equal(valid, form(one, CAMERA)[1])
    normals, _ = form(batch.to(torch.bfloat16), CAMERA)
    assert normals.dtype == torch.float32
    assert normals.isfinite().all()
    normals, valid = form(torch.zeros(SIZE), CAMERA)
    assert not valid.any()
    assert normals.flatten(1).unique(dim=1).flatten().tolist() == [0, 0, -1]
    with pytest.raises(ValueError, match=r"depth must be floats \(...,H,W\)"):
        form(torch.ones(3), CAMERA)
