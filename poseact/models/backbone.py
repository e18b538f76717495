"""The residual backbone that the presets `fast`, `accurate` and `simcc` share.

Plain 3x3 convolutions instead of depthwise ones: at the same latency they hold four times the
multiplications on CPUs and GPUs with matrix units, and train three times faster.
"""

import dataclasses
from collections.abc import Iterable
from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

NUM_STAGES: Final = 4

MAX_CHANNELS: Final = 2048
MAX_DEPTH: Final = 64
MAX_INPUT_PX: Final = 2048
"""Far above what was ever of use: bounds what a foreign bundle makes us build."""


def require_within(name: str, numbers: Iterable[int], least: int, most: int) -> None:
    """Raise ValueError if a number lies outside ``least`` to ``most``."""
    for number in numbers:
        if not least <= number <= most:
            raise ValueError(f"{name} must lie in {least}..{most}, got {number}")


def require_input(input_px: int) -> None:
    """Raise ValueError if a network cannot have pictures of this side."""
    require_within("input_px", (input_px,), 32, MAX_INPUT_PX)
    if input_px % 32:
        raise ValueError(f"input_px must be a multiple of 32, got {input_px}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackboneShape:
    """Shape of a network that stands on this backbone."""

    stem: int = 16
    """Channels at half resolution."""

    widths: tuple[int, ...] = (32, 64, 128, 192)
    """Channels at strides 4, 8, 16 and 32."""

    depths: tuple[int, ...] = (1, 2, 4, 4)
    """Residual blocks at each of these strides; deep where a block costs little time."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        if len(self.widths) != NUM_STAGES or len(self.depths) != NUM_STAGES:
            raise ValueError(f"widths and depths must be {NUM_STAGES} numbers each")
        require_within("stem and widths", (self.stem, *self.widths), 1, MAX_CHANNELS)
        require_within("depths", self.depths, 0, MAX_DEPTH)


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
