"""From a trained model to an ONNX file that takes pixels and gives the final answer."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch

from limbeck.core.model import InputSize, Model
from limbeck.deploy.graphs import ExportGraph, export_graph
from limbeck.errors import ExportError

_CHATTY_LOGGERS = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def export_onnx(model: Model[Any, Any, Any, Any], size: InputSize, path: Path) -> Path:
    """Write a model with its post-processing as one ONNX file with a free batch axis.

    What goes in and comes out stands in the graph of the model's task, see `graphs`. The model itself is not changed.

    Args:
        model: Any limbeck model, on any device, in any mode.
        size: Size of its input, see `limbeck.core.model.InputSize`; that of images is fixed in the file.
        path: The file to write.

    Returns:
        ``path``.

    Raises:
        ExportError: The exporter cannot translate the model, or the file would not be valid ONNX.
    """
    graph = export_graph(model)
    try:
        with _quiet(), torch.no_grad():
            content = _translate(graph, size)
            onnx.checker.check_model(content, full_check=True)
    except Exception as error:  # the exporter lets through whatever the model or its own passes raise
        raise ExportError(f"The model {type(model).__name__} cannot be exported to ONNX: {_reason(error)}") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(content, path)
    return path


def _translate(graph: ExportGraph, size: InputSize) -> onnx.ModelProto:
    axes = {name: torch.export.Dim(name) for name in graph.axes}
    program = torch.onnx.export(
        graph,
        graph.example(size, count=2),  # a single one would make the exporter take the axis for fixed
        dynamo=True,
        input_names=list(graph.inputs),
        output_names=list(graph.outputs),
        dynamic_shapes=tuple({0: axes[name]} for name in graph.axes),
        verbose=False,
    )
    if program is None:
        raise ExportError("the exporter returned nothing")
    return _without_traces(program.model_proto)


def _without_traces(content: onnx.ModelProto) -> onnx.ModelProto:
    """Drop the exporter's notes on each node: they hold stack traces with the paths of the machine it ran on."""
    del content.graph.metadata_props[:]
    for part in (*content.graph.node, *content.graph.input, *content.graph.output, *content.graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings and log lines, which are about its own inside."""
    loggers = [logging.getLogger(name) for name in _CHATTY_LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """Return the first line of the error that started the chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
