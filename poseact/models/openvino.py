"""Executes a network on the CPU by OpenVINO."""

import warnings
from collections.abc import Callable
from typing import TypeAlias

import openvino
import torch
from torch import Tensor, nn

from poseact.geometry import ImageArray
from poseact.models.pose import normalize

Forward: TypeAlias = Callable[[ImageArray], tuple[Tensor, ...]]
"""From (B, H, W, 3) uint8 RGB pictures to what a network says of them."""


class _FromBytes(nn.Module):
    """The network, with the pixels' change of layout and scale in front of it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pictures_BHWC: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.net(normalize(pictures_BHWC.permute(0, 3, 1, 2)))
        return outputs


def by_openvino(net: nn.Module, size_px: tuple[int, int]) -> Forward:
    """Compile a network for one CPU thread, in bfloat16 where the CPU has units for it.

    Args:
        net: Takes (B, 3, H, W) pictures, normalised by ``normalize``.
        size_px: Width and height of its pictures.
    """
    width, height = size_px
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        # what torch recommends instead, torch.export, takes ten times as long
        warnings.simplefilter("ignore", DeprecationWarning)
        # unchecked: the check imports most of torch; a test compares with torch itself
        traced = torch.jit.trace(_FromBytes(net), example, check_trace=False)
    graph = openvino.convert_model(traced, example_input=example)
    graph.reshape([-1, height, width, 3])
    compiled = openvino.compile_model(
        graph, "CPU", {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    )
    request = compiled.create_infer_request()

    def forward(pictures_BHWC: ImageArray) -> tuple[Tensor, ...]:
        found = request.infer([pictures_BHWC])
        return tuple(torch.from_numpy(found[output]) for output in compiled.outputs)

    return forward
