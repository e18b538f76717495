"""Presets `scratch`, `vgg16` and `mobilenet`: 14 numbers straight from fully connected layers.

`scratch` has a small CNN of its own; the others take the convolutions of a torchvision classifier,
whose classes and softmax are cut off, and put a new head on them. Beside each joint the head says
how far off it may be, from which its confidence follows.

Shape letters: B crops, C channels, J joints.
"""

import dataclasses
import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from poseact.models.pose import PoseNet, PoseOutputs, PoseShape, mean_over_labels, positions
from poseact.skeleton import MIRROR, NUM_JOINTS

RegressionPreset: TypeAlias = Literal["scratch", "vgg16", "mobilenet"]

SCRATCH_WIDTHS = (32, 64, 128, 192, 256)
HIDDEN = 512
DROPOUT = 0.2

NEAR = 0.06
"""Distance along each axis, in crop sides, within which a joint counts as found: 0.2 torsos, in a
crop that is about 3.3 torsos wide."""

LOG_SCALE_RANGE = (-6.0, 1.0)
"""Keeps the loss finite."""

FARTHEST = 1.0
"""Joints outside the crop are asked for no farther than this from its centre, in sides."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegressionShape(PoseShape):
    """Shape of a regression network."""

    preset: str = "scratch"


class RegressionNet(PoseNet):
    """Convolutions, flattened, two fully connected layers."""

    def __init__(self, shape: RegressionShape) -> None:
        """Build it with random weights."""
        super().__init__()
        self.shape = shape
        self.base, channels = _base(shape.preset)
        num_cells = (shape.input_px // 32) ** 2
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * num_cells, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Dropout(DROPOUT),
            nn.Linear(HIDDEN, 3 * NUM_JOINTS),
        )

    def forward(self, crops_BCHW: Tensor) -> PoseOutputs:
        """Return (B, J, 3): x, y from the centre in crop sides, log of the likely error."""
        return (self.head(self.base(crops_BCHW)).float().unflatten(1, (NUM_JOINTS, 3)),)

    def loss(self, outputs: PoseOutputs, joints_BJ3: Tensor) -> Tensor:
        """Return the negative log-likelihood of the labels, errors being Laplace-distributed.

        Source:
            Kendall and Gal, What uncertainties do we need in Bayesian deep learning, 2017.
        """
        xy_BJ2, log_scale_BJ = _split(outputs)
        target_BJ2 = positions(joints_BJ3) / self.shape.input_px - 0.5
        distance_BJ = (xy_BJ2 - target_BJ2.clamp(-FARTHEST, FARTHEST)).abs().sum(dim=2)
        loss_BJ = distance_BJ / log_scale_BJ.exp() + 2 * (log_scale_BJ + math.log(2))
        return mean_over_labels(loss_BJ, joints_BJ3[..., 2])

    def decode(self, outputs: PoseOutputs) -> Tensor:
        """Return the joints; confidence: the probability that both coordinates are ``NEAR``."""
        xy_BJ2, log_scale_BJ = _split(outputs)
        confidence_BJ = (1 - torch.exp(-NEAR / log_scale_BJ.exp())) ** 2
        return torch.cat([(xy_BJ2 + 0.5) * self.shape.input_px, confidence_BJ.unsqueeze(2)], dim=2)

    def unmirrored(self, outputs: PoseOutputs) -> PoseOutputs:
        """Negate x and exchange left and right."""
        sign_3 = torch.tensor([-1.0, 1.0, 1.0], device=outputs[0].device)
        return (outputs[0][:, list(MIRROR)] * sign_3,)


class _FromImageNet(nn.Module):
    """Crops as we normalise them, as ImageNet's classifiers expect them."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        self.register_buffer("mean", mean[:, None, None] * 255, persistent=False)
        self.register_buffer("std", std[:, None, None] * 255, persistent=False)

    def forward(self, crops_BCHW: Tensor) -> Tensor:
        return (crops_BCHW * 64.0 + 114.0 - self.mean) / self.std


def _base(preset: str) -> tuple[nn.Module, int]:
    """Return the convolutions, down to stride 32, and their last number of channels."""
    if preset != "scratch":
        return _torchvision_base(preset)
    layers: list[nn.Module] = []
    for inputs, outputs in zip((3, *SCRATCH_WIDTHS), SCRATCH_WIDTHS, strict=False):
        layers += [
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(*layers), SCRATCH_WIDTHS[-1]


def _torchvision_base(preset: str) -> tuple[nn.Module, int]:
    from torchvision import models  # takes longer to import than all the rest

    if preset == "mobilenet":
        return nn.Sequential(_FromImageNet(), models.mobilenet_v3_small().features), 576
    # the convolutions alone: the classifier is 120 M parameters
    return nn.Sequential(_FromImageNet(), models.vgg.make_layers(models.vgg.cfgs["D"])), 512


def _split(outputs: PoseOutputs) -> tuple[Tensor, Tensor]:
    return outputs[0][..., :2], outputs[0][..., 2].clamp(*LOG_SCALE_RANGE)
