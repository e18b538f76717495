"""What every pose network is: crops in, joints with confidence out, a loss to learn them by.

Shape letters: B crops, C channels, H W rows and columns, S side of a crop, J joints.
"""

import abc
import dataclasses
from typing import TypeAlias

import torch
from torch import Tensor, nn

from poseact.models.backbone import require_input

PoseOutputs: TypeAlias = tuple[Tensor, ...]
"""What a network says before it is decoded; only the network itself knows what the parts mean."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoseShape:
    """What is needed to build a network again; stored in the bundle."""

    preset: str
    """Name of the family, a key of ``presets.PRESETS``."""

    input_px: int = 160
    """Side of the square crop; a multiple of 32."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        require_input(self.input_px)


class PoseNet(nn.Module, abc.ABC):
    """Finds the seven joints of one person in each crop."""

    shape: PoseShape

    base: nn.Module
    """The part that can be taken over from another model; the rest is the head."""

    @abc.abstractmethod
    def forward(self, crops_BCHW: Tensor) -> PoseOutputs:
        """Args: crops, (B, 3, S, S), normalised by ``normalize``. Returns: float32 tensors."""

    @abc.abstractmethod
    def loss(self, outputs: PoseOutputs, joints_BJ3: Tensor) -> Tensor:
        """Compare outputs with labels.

        Args:
            outputs: What ``forward`` returned.
            joints_BJ3: x, y in crop pixels and weight; weight 0 (then x, y may be NaN) leaves the
                joint out. A joint may lie outside the crop.

        Returns:
            Scalar, nats per labelled joint.
        """

    @abc.abstractmethod
    def decode(self, outputs: PoseOutputs) -> Tensor:
        """Turn outputs into joints, (B, J, 3): x, y in crop pixels, confidence in [0, 1]."""

    @abc.abstractmethod
    def unmirrored(self, outputs: PoseOutputs) -> PoseOutputs:
        """Turn what was said of mirrored crops into what that says of the crops themselves."""


def normalize(crops_BCHW: Tensor) -> Tensor:
    """Map RGB values from 0..255 to about -1..1, as the networks expect them."""
    return (crops_BCHW.float() - 114.0) / 64.0


def averaged_with_mirror(net: PoseNet, outputs: PoseOutputs) -> PoseOutputs:
    """Return the mean of what was said of crops and of their mirror images.

    Args:
        net: Who said it.
        outputs: Of 2 B crops: some, then their mirror images.

    Returns:
        Outputs of the B crops.
    """
    pairs = [output.unflatten(0, (2, -1)) for output in outputs]
    mirrored = net.unmirrored(tuple(pair[1] for pair in pairs))
    return tuple((pair[0] + other) / 2 for pair, other in zip(pairs, mirrored, strict=True))


def mean_over_labels(loss_BJ: Tensor, weights_BJ: Tensor) -> Tensor:
    """Return the mean loss of the labelled joints."""
    return (loss_BJ * weights_BJ).sum() / weights_BJ.sum().clamp(min=1.0)


def positions(joints_BJ3: Tensor) -> Tensor:
    """Return x, y of joints, (B, J, 2), with a place far outside for those that have none."""
    return torch.nan_to_num(joints_BJ3[..., :2], nan=-1e4)
