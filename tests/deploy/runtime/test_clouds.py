"""Points from files and arrays, and what is no cloud for a network."""

import numpy as np
import pytest

from limbeck.deploy.runtime.clouds import open_cloud
from limbeck.errors import DataError
from limbeck.point_files.point_format import PointFormat

FORM = PointFormat(columns=("x", "y", "z", "intensity", "ring"), features=("x", "y", "z", "intensity"))
ROWS = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)


def test_an_array_holds_what_the_network_reads():
    given = ROWS[:, :4]
    np.testing.assert_array_equal(open_cloud(given, FORM), given)
    assert open_cloud(given.astype(np.float64), FORM).dtype == np.float32
    assert open_cloud(given[:0], FORM).shape == (0, 4)
    assert open_cloud(ROWS.T[:4].T, FORM).flags.c_contiguous


def test_files_hold_what_their_columns_say(tmp_path):
    np.save(tmp_path / "a.npy", ROWS)
    ROWS.tofile(tmp_path / "a.bin")
    header = "ply\nformat ascii 1.0\nelement vertex 20\n"
    names = ("intensity", "x", "y", "z")
    header += "".join(f"property float {name}\n" for name in names) + "end_header\n"
    table = ROWS[:, [3, 0, 1, 2]]
    (tmp_path / "a.ply").write_text(header + "\n".join(" ".join(map(repr, row)) for row in table.tolist()))
    pcd = "FIELDS x y z intensity\nSIZE 4 4 4 4\nTYPE F F F F\nPOINTS 20\nDATA binary\n"
    (tmp_path / "a.pcd").write_bytes(pcd.encode() + ROWS[:, :4].tobytes())
    for name in ("a.npy", "a.bin", "a.ply", "a.pcd"):
        np.testing.assert_array_equal(open_cloud(tmp_path / name, FORM), ROWS[:, :4], err_msg=name)
    np.testing.assert_array_equal(open_cloud(str(tmp_path / "a.npy"), FORM), ROWS[:, :4])


def test_a_single_sweep_was_measured_at_the_time_of_the_frame(tmp_path):
    np.save(tmp_path / "a.npy", ROWS)
    found = open_cloud(tmp_path / "a.npy", PointFormat(FORM.columns, ("x", "y", "z", "time")))
    np.testing.assert_array_equal(found[:, 3], 0)


@pytest.mark.parametrize("given", [ROWS, ROWS[:, :3], ROWS[0, :4], np.zeros((3, 4), np.int64), np.zeros((3, 4), "U1")])
def test_an_array_of_other_values_is_refused(given):
    with pytest.raises(DataError, match=r"an array must be \(P,4\) floats \(x, y, z, intensity\), was given"):
        open_cloud(given, FORM)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e300])
def test_points_that_are_not_finite_are_refused_or_left_out(wrong, tmp_path):
    given = ROWS[:, :4].astype(np.float64)
    given[[2, 5], [0, 3]] = wrong
    with pytest.raises(DataError, match="2 of its 20 points are not finite numbers"):
        open_cloud(given, FORM)
    found = open_cloud(given, PointFormat(FORM.columns, FORM.features, drop_invalid=True))
    np.testing.assert_array_equal(found, np.delete(ROWS[:, :4], [2, 5], axis=0))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"12345")
    (tmp_path / "a.txt").write_text("1 2 3")
    for name in ("a.bin", "a.txt", "none.npy"):
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            open_cloud(tmp_path / name, FORM)
