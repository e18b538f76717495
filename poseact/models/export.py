"""Writes a pose network as ONNX, for the CPU runtime."""

import tempfile
import warnings
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from poseact.models.pose import PoseNet

OPSET = 17


def to_onnx(net: PoseNet) -> bytes:
    """Serialise a network.

    Weights are stored in half precision and widened when the model is loaded, which halves the
    file and leaves all arithmetic in float32.

    Args:
        net: In evaluation mode, on the CPU.

    Returns:
        An ONNX model with input ``crops`` (B, 3, S, S) and outputs ``cells`` and ``absent``.
    """
    size_px = net.architecture.input_px
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # the newer exporter needs one more package and writes the same graph
        warnings.simplefilter("ignore", DeprecationWarning)
        path = Path(folder) / "net.onnx"
        torch.onnx.export(
            net,
            (torch.zeros(1, 3, size_px, size_px),),
            path,
            input_names=["crops"],
            output_names=["cells", "absent"],
            dynamic_axes={name: {0: "batch"} for name in ("crops", "cells", "absent")},
            opset_version=OPSET,
            dynamo=False,
        )
        model = onnx.load(path)
    _halve_weights(model)
    return bytes(model.SerializeToString())


def _halve_weights(model: onnx.ModelProto) -> None:
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        name = tensor.name
        values = numpy_helper.to_array(tensor).astype("float16")
        tensor.CopyFrom(numpy_helper.from_array(values, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])
