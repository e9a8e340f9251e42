import subprocess
import sys

import torch

from limbeck.ops import normals_in_one_pass
from limbeck.ops.inverse_depth import Intrinsics


def test_maps_without_pixels_are_none():
    camera = Intrinsics(100.0, 100.0, 5.0, 5.0)
    for shape in ((0, 4, 5), (2, 0, 5), (2, 4, 0)):
        normals, valid = normals_in_one_pass.normals_in_one_pass(torch.ones(shape), camera, True, False)
        assert normals.shape == (shape[0], 3, *shape[1:])
        assert valid.shape == shape


def test_numba_is_loaded_where_normals_are_computed_and_the_first_are_compiled_when_asked():
    script = """
import sys
from limbeck.ops.normals import compile_normals
assert "numba" not in sys.modules
compile_normals()
from limbeck.ops.normals_in_one_pass import _write_normals
assert len(_write_normals.signatures) == 1
"""
    subprocess.run([sys.executable, "-c", script], check=True)
