"""Opening an ONNX file with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from limbeck.errors import BundleError

_ERRORS_ONLY = 3


def open_session(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    """Open an ONNX file on the CPU.

    Args:
        path: The file.
        threads: Threads of one operator; None for all cores.

    Raises:
        BundleError: ONNX Runtime cannot load it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a dozen exceptions without a common base
        raise BundleError(f"{path}: ONNX Runtime cannot load the model ({error}).") from error
