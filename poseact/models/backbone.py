"""The residual backbone that the presets `fast`, `accurate` and `simcc` share.

Plain 3x3 convolutions instead of depthwise ones: at the same latency they hold four times the
multiplications on CPUs and GPUs with matrix units, and train three times faster.
"""

import dataclasses

import torch.nn.functional as F
from torch import Tensor, nn


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackboneShape:
    """Shape of a network that stands on this backbone."""

    stem: int = 16
    """Channels at half resolution."""

    widths: tuple[int, ...] = (32, 64, 128, 192)
    """Channels at strides 4, 8, 16 and 32."""

    depths: tuple[int, ...] = (1, 2, 4, 4)
    """Residual blocks at each of these strides; deep where a block costs little time."""


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Return convolution, batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        norm = nn.BatchNorm2d(channels)
        # A new block changes nothing, so that a deeper net can start from a shallower bundle.
        nn.init.zeros_(norm.weight)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), norm)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class Backbone(nn.Module):
    """From normalised crops to features at strides 4, 8, 16 and 32."""

    def __init__(self, shape: BackboneShape) -> None:
        """Build it with random weights."""
        super().__init__()
        self.stem = conv(3, shape.stem, stride=2)
        inputs = (shape.stem, *shape.widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(conv(i, o, stride=2), *(_Residual(o) for _ in range(depth)))
            for i, o, depth in zip(inputs, shape.widths, shape.depths, strict=True)
        )

    def forward(self, crops_BCHW: Tensor) -> list[Tensor]:
        """Return the features of each stage, finest first."""
        features = []
        x = self.stem(crops_BCHW)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features
