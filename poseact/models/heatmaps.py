"""Presets `fast` and `accurate`: a light top-down decoder and heat maps at stride 4.

Each joint is a classification over the cells of its heat map plus one more class, "not in this
crop", so that a joint outside the crop has somewhere to put its probability.

Shape letters: B crops, C channels, H W rows and columns of the heat map, J joints, N = H * W.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poseact.models.backbone import MAX_CHANNELS, Backbone, BackboneShape, conv, require_within
from poseact.models.pose import (
    PoseNet,
    PoseOutputs,
    PoseShape,
    mean_over_labels,
    positions,
)
from poseact.skeleton import MIRROR, NUM_JOINTS

STRIDE = 4
"""Crop pixels per heat-map cell."""

TARGET_SIGMA_CELLS = 1.2
"""Spread of the target around a joint: about 5 crop pixels, the disagreement of annotators."""

WINDOW = 5
"""Cells across the window whose probability decides where a joint is."""

REACH = 3
"""Cells on each side of its middle that take part in sub-pixel decoding."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeatmapShape(BackboneShape, PoseShape):
    """Shape of a heat-map network."""

    preset: str = "fast"

    input_px: int = 192

    decoder: int = 64
    """Channels of the decoder."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        BackboneShape.__post_init__(self)
        PoseShape.__post_init__(self)
        require_within("decoder", (self.decoder,), 1, MAX_CHANNELS)


ACCURATE = HeatmapShape(
    preset="accurate",
    stem=32,
    widths=(64, 128, 256, 320),
    depths=(2, 3, 6, 4),
    decoder=96,
)


class HeatmapNet(PoseNet):
    """Backbone, decoder, one heat map per joint."""

    def __init__(self, shape: HeatmapShape) -> None:
        """Build it with random weights."""
        super().__init__()
        self.shape = shape
        self.base = Backbone(shape)
        channels = shape.decoder
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in shape.widths)
        self.merges = nn.ModuleList(conv(channels, channels) for _ in shape.widths[1:])
        self.cells = nn.Conv2d(channels, NUM_JOINTS, 1)
        self.absent = nn.Linear(shape.widths[-1], NUM_JOINTS)

    def forward(self, crops_BCHW: Tensor) -> PoseOutputs:
        """Return logits of the cells (B, J, H, W) and of "not in this crop" (B, J)."""
        features = self.base(crops_BCHW)
        absent_BJ = self.absent(features[-1].mean(dim=(2, 3)))
        y = self.laterals[-1](features[-1])
        for level in range(len(features) - 2, -1, -1):
            y = F.interpolate(y, scale_factor=2.0, mode="nearest")
            y = self.merges[level](y + self.laterals[level](features[level]))
        return self.cells(y).float(), absent_BJ.float()

    def loss(self, outputs: PoseOutputs, joints_BJ3: Tensor) -> Tensor:
        """Return the cross-entropy between each joint's distribution and a Gaussian around it."""
        height, width = outputs[0].shape[2:]
        targets = _targets(positions(joints_BJ3), height, width)
        loss_BJ = -(targets * log_probabilities(outputs)).sum(dim=2)
        return mean_over_labels(loss_BJ, joints_BJ3[..., 2])

    def decode(self, outputs: PoseOutputs) -> Tensor:
        """Find the joints.

        The position is the mean, weighted by probability, of the cells around the middle of the
        window that holds the most; the confidence is the probability of these cells together.
        A window instead of the single most likely cell: bfloat16 moves that one easily.

        Source:
            Local soft-argmax; Luvizon et al., Human pose regression by combining indirect part
            detection and contextual information, 2019.
        """
        height, width = outputs[0].shape[2:]
        probability_BJHW = _scores(outputs).softmax(dim=2)[..., :-1].view_as(outputs[0])
        grid_W = torch.arange(width, device=probability_BJHW.device)
        grid_H = torch.arange(height, device=probability_BJHW.device)
        # sums over windows as two products: a tenth of the time of pooling
        windows_BJHW = _band(grid_H) @ probability_BJHW @ _band(grid_W)
        peak_BJ1 = windows_BJHW.flatten(2).argmax(dim=2, keepdim=True)
        near_BJW = ((grid_W - peak_BJ1 % width).abs() <= REACH).float()
        near_BJH = ((grid_H - peak_BJ1 // width).abs() <= REACH).float()
        columns_BJW = (near_BJH.unsqueeze(2) @ probability_BJHW).squeeze(2) * near_BJW
        rows_BJH = (probability_BJHW @ near_BJW.unsqueeze(3)).squeeze(3) * near_BJH
        confidence_BJ = columns_BJW.sum(dim=2)
        total_BJ = confidence_BJ.clamp(min=1e-9)
        x_BJ = (columns_BJW * grid_W).sum(dim=2) / total_BJ
        y_BJ = (rows_BJH * grid_H).sum(dim=2) / total_BJ
        return torch.stack([(x_BJ + 0.5) * STRIDE, (y_BJ + 0.5) * STRIDE, confidence_BJ], dim=2)

    def unmirrored(self, outputs: PoseOutputs) -> PoseOutputs:
        """Flip the heat maps and exchange left and right."""
        cells_BJHW, absent_BJ = outputs
        return cells_BJHW.flip(3)[:, list(MIRROR)], absent_BJ[:, list(MIRROR)]


def log_probabilities(outputs: PoseOutputs) -> Tensor:
    """Return (B, J, N + 1) log-probabilities: the cells row by row, then "not in this crop"."""
    return F.log_softmax(_scores(outputs), dim=2)


def _scores(outputs: PoseOutputs) -> Tensor:
    cells_BJHW, absent_BJ = outputs
    return torch.cat([cells_BJHW.flatten(2), absent_BJ.unsqueeze(2)], dim=2)


def _band(grid_N: Tensor) -> Tensor:
    """Return (N, N): 1 where two cells lie in one window around either, else 0."""
    return ((grid_N - grid_N.unsqueeze(1)).abs() <= WINDOW // 2).float()


def _targets(xy_BJ2: Tensor, height: int, width: int) -> Tensor:
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
