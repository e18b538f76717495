"""The pose network: a small residual backbone, a light top-down decoder, heat maps at stride 4.

Each joint is a classification over the cells of its heat map plus one more class, "not in this
crop", so that a joint outside the crop has somewhere to put its probability.

Shape letters: B crops, C channels, H W rows and columns of the heat map, J joints, N = H * W.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poseact.skeleton import NUM_JOINTS

STRIDE = 4
"""Crop pixels per heat-map cell."""

TARGET_SIGMA_CELLS = 1.2
"""Spread of the target around a joint: about 5 crop pixels, the disagreement of annotators."""

WINDOW = 2
"""Cells on each side of the peak that take part in sub-pixel decoding."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoseArchitecture:
    """What is needed to build the network again; stored in the bundle."""

    preset: str = "fast"
    """Name of the family."""

    input_px: int = 160
    """Side of the square crop; a multiple of 32."""

    stem: int = 16
    """Channels at half resolution."""

    widths: tuple[int, ...] = (32, 64, 128, 192)
    """Channels at strides 4, 8, 16 and 32."""

    depths: tuple[int, ...] = (1, 2, 2, 2)
    """Residual blocks at each of these strides."""

    decoder: int = 64
    """Channels of the decoder."""

    @classmethod
    def from_manifest(cls, fields: Mapping[str, Any]) -> "PoseArchitecture":
        """Rebuild it from the JSON of a bundle, where tuples have become lists."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        return cls(**values)


class PoseLogits(NamedTuple):
    """Unnormalised log-probabilities of where each joint is."""

    cells_BJHW: Tensor
    absent_BJ: Tensor


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class PoseNet(nn.Module):
    """From normalised crops to the logits of seven joints.

    Plain 3x3 convolutions instead of depthwise ones: at the same latency they hold four times
    the multiplications on CPUs and GPUs with matrix units, and train three times faster.
    """

    def __init__(self, architecture: PoseArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.stem = _conv(3, architecture.stem, stride=2)
        inputs = (architecture.stem, *architecture.widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(_conv(i, o, stride=2), *(_Residual(o) for _ in range(depth)))
            for i, o, depth in zip(inputs, architecture.widths, architecture.depths, strict=True)
        )
        channels = architecture.decoder
        self.laterals = nn.ModuleList(
            nn.Conv2d(width, channels, 1) for width in architecture.widths
        )
        self.merges = nn.ModuleList(_conv(channels, channels) for _ in architecture.widths[1:])
        self.cells = nn.Conv2d(channels, NUM_JOINTS, 1)
        self.absent = nn.Linear(architecture.widths[-1], NUM_JOINTS)

    def forward(self, crops_BCHW: Tensor) -> PoseLogits:
        """Args: crops, (B, 3, S, S), normalised by ``normalize``. Returns: logits, float32."""
        features = []
        x = self.stem(crops_BCHW)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        absent_BJ = self.absent(x.mean(dim=(2, 3)))
        y = self.laterals[-1](x)
        for level in range(len(features) - 2, -1, -1):
            y = F.interpolate(y, scale_factor=2.0, mode="nearest")
            y = self.merges[level](y + self.laterals[level](features[level]))
        return PoseLogits(self.cells(y).float(), absent_BJ.float())


def normalize(crops_BCHW: Tensor) -> Tensor:
    """Map RGB values from 0..255 to about -1..1, as the network expects them."""
    return (crops_BCHW.float() - 114.0) / 64.0


def log_probabilities(logits: PoseLogits) -> Tensor:
    """Return (B, J, N + 1) log-probabilities: the cells row by row, then "not in this crop"."""
    scores = torch.cat([logits.cells_BJHW.flatten(2), logits.absent_BJ.unsqueeze(2)], dim=2)
    return F.log_softmax(scores, dim=2)


def pose_loss(logits: PoseLogits, joints_BJ3: Tensor) -> Tensor:
    """Cross-entropy between the predicted distribution of each joint and a Gaussian around it.

    Args:
        logits: Output of the network.
        joints_BJ3: x, y in crop pixels and weight; weight 0 leaves the joint out. A joint
            outside the crop counts as "not in this crop".

    Returns:
        Scalar, nats per labelled joint.
    """
    height, width = logits.cells_BJHW.shape[2:]
    targets = _targets(joints_BJ3, height, width)
    weights_BJ = joints_BJ3[..., 2]
    loss_BJ = -(targets * log_probabilities(logits)).sum(dim=2)
    return (loss_BJ * weights_BJ).sum() / weights_BJ.sum().clamp(min=1.0)


def _targets(joints_BJ3: Tensor, height: int, width: int) -> Tensor:
    xy_BJ2 = torch.nan_to_num(joints_BJ3[..., :2], nan=-1e4)
    cells_BJ2 = xy_BJ2 / STRIDE - 0.5
    x_BJW = _gaussian(cells_BJ2[..., 0], width)
    y_BJH = _gaussian(cells_BJ2[..., 1], height)
    map_BJN = (y_BJH.unsqueeze(3) * x_BJW.unsqueeze(2)).flatten(2)
    size_px = STRIDE * torch.tensor([width, height], device=xy_BJ2.device)
    is_inside = ((xy_BJ2 > 0) & (xy_BJ2 < size_px)).all(dim=2, keepdim=True)
    map_BJN = map_BJN / map_BJN.sum(dim=2, keepdim=True).clamp(min=1e-9)
    return torch.cat([map_BJN * is_inside, (~is_inside).float()], dim=2)


def _gaussian(center_BJ: Tensor, length: int) -> Tensor:
    grid = torch.arange(length, device=center_BJ.device, dtype=torch.float32)
    return torch.exp(-0.5 * ((grid - center_BJ.unsqueeze(2)) / TARGET_SIGMA_CELLS) ** 2)


def decode(logits: PoseLogits) -> Tensor:
    """Turn logits into joints.

    The position is the mean of the cells around the most likely one, weighted by probability;
    the confidence is the probability of these cells together.

    Args:
        logits: Output of the network.

    Returns:
        Joints, (B, J, 3), float32: x, y in crop pixels, confidence in [0, 1].

    Source:
        Local soft-argmax; Luvizon et al., Human pose regression by combining indirect part
        detection and contextual information, 2019.
    """
    height, width = logits.cells_BJHW.shape[2:]
    probability_BJN = log_probabilities(logits)[..., :-1].exp()
    probability_BJHW = probability_BJN.view_as(logits.cells_BJHW)
    peak_BJ = probability_BJN.argmax(dim=2)
    grid_x = torch.arange(width, device=peak_BJ.device)
    grid_y = torch.arange(height, device=peak_BJ.device)
    near_x_BJW = (grid_x - (peak_BJ % width).unsqueeze(2)).abs() <= WINDOW
    near_y_BJH = (grid_y - (peak_BJ // width).unsqueeze(2)).abs() <= WINDOW
    local = probability_BJHW * near_x_BJW.unsqueeze(2) * near_y_BJH.unsqueeze(3)
    confidence_BJ = local.sum(dim=(2, 3))
    total_BJ = confidence_BJ.clamp(min=1e-9)
    x_BJ = (local.sum(dim=2) * grid_x).sum(dim=2) / total_BJ
    y_BJ = (local.sum(dim=3) * grid_y).sum(dim=2) / total_BJ
    return torch.stack([(x_BJ + 0.5) * STRIDE, (y_BJ + 0.5) * STRIDE, confidence_BJ], dim=2)
