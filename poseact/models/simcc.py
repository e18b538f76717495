"""Preset `simcc`: the backbone of `fast`, and each coordinate a classification of its own.

Source: Li et al., SimCC: a simple coordinate classification perspective for human pose
estimation, 2022. As in the heat maps, one more class says "not in this crop".

Shape letters: B crops, J joints, A the two axes, N bins.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poseact.models.backbone import Backbone, BackboneShape
from poseact.models.pose import (
    PoseNet,
    PoseOutputs,
    PoseShape,
    mean_over_labels,
    positions,
)
from poseact.skeleton import MIRROR, NUM_JOINTS

BIN_PX = 1
"""Crop pixels per bin."""

TARGET_SIGMA_PX = 4.8
"""Spread of the target around a joint, the same as that of the heat maps."""

WINDOW_PX = 10
"""Pixels on each side of the peak that take part in decoding."""

CHANNELS_PER_JOINT = 16
HIDDEN = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimccShape(BackboneShape, PoseShape):
    """Shape of a SimCC network."""

    preset: str = "simcc"

    input_px: int = 192

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        BackboneShape.__post_init__(self)
        PoseShape.__post_init__(self)


class SimccNet(PoseNet):
    """Backbone, a flattened map per joint, two 1-D classifications from it."""

    def __init__(self, shape: SimccShape) -> None:
        """Build it with random weights."""
        super().__init__()
        self.shape = shape
        self.base = Backbone(shape)
        self.maps = nn.Conv2d(shape.widths[-1], NUM_JOINTS * CHANNELS_PER_JOINT, 1)
        num_cells = (shape.input_px // 32) ** 2
        self.hidden = nn.Linear(CHANNELS_PER_JOINT * num_cells, HIDDEN)
        self.bins = nn.Linear(HIDDEN, 2 * (shape.input_px // BIN_PX + 1))

    def forward(self, crops_BCHW: Tensor) -> PoseOutputs:
        """Return logits, (B, J, A, N + 1): the bins of each axis, then "not in this crop"."""
        maps = self.maps(self.base(crops_BCHW)[-1])
        # len(maps) would become a constant where the network is traced
        flat_BJF = maps.unflatten(1, (NUM_JOINTS, -1)).flatten(2)
        logits = self.bins(F.relu(self.hidden(flat_BJF)))
        return (logits.unflatten(2, (2, -1)).float(),)

    def loss(self, outputs: PoseOutputs, joints_BJ3: Tensor) -> Tensor:
        """Return the cross-entropy of both axes together."""
        targets = _targets(positions(joints_BJ3), outputs[0].shape[3] - 1)
        loss_BJ = -(targets * F.log_softmax(outputs[0], dim=3)).sum(dim=(2, 3))
        return mean_over_labels(loss_BJ, joints_BJ3[..., 2])

    def decode(self, outputs: PoseOutputs) -> Tensor:
        """Return the mean around the peak of each axis; confidence: its share, of both axes."""
        probability_BJAN = outputs[0].softmax(dim=3)[..., :-1]
        grid_N = torch.arange(probability_BJAN.shape[3], device=probability_BJAN.device)
        peak_BJA = probability_BJAN.argmax(dim=3, keepdim=True)
        local = probability_BJAN * ((grid_N - peak_BJA).abs() <= WINDOW_PX / BIN_PX)
        share_BJA = local.sum(dim=3)
        bin_BJA = (local * grid_N).sum(dim=3) / share_BJA.clamp(min=1e-9)
        confidence_BJ1 = share_BJA.prod(dim=2, keepdim=True)
        return torch.cat([(bin_BJA + 0.5) * BIN_PX, confidence_BJ1], dim=2)

    def unmirrored(self, outputs: PoseOutputs) -> PoseOutputs:
        """Reverse the bins of x and exchange left and right."""
        x_BJN, y_BJN = outputs[0][:, list(MIRROR)].unbind(2)
        reversed_BJN = torch.cat([x_BJN[..., :-1].flip(2), x_BJN[..., -1:]], dim=2)
        return (torch.stack([reversed_BJN, y_BJN], dim=2),)


def _targets(xy_BJ2: Tensor, num_bins: int) -> Tensor:
    grid_N = (torch.arange(num_bins, device=xy_BJ2.device) + 0.5) * BIN_PX
    near = torch.exp(-0.5 * ((grid_N - xy_BJ2.unsqueeze(3)) / TARGET_SIGMA_PX) ** 2)
    near = near / near.sum(dim=3, keepdim=True).clamp(min=1e-9)
    is_inside = ((xy_BJ2 > 0) & (xy_BJ2 < num_bins * BIN_PX)).unsqueeze(3)
    return torch.cat([near * is_inside, (~is_inside).float()], dim=3)
