"""The person detector's network: cells that are the middle of a person, and how far its sides are.

Shape letters: B pictures, H W rows and columns of cells, N people of one picture.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poseact.geometry import suppress_doubles
from poseact.models.backbone import (
    MAX_CHANNELS,
    Backbone,
    BackboneShape,
    conv,
    require_input,
    require_within,
)

STRIDE = 8
"""Picture pixels per cell."""

PRIOR = 0.01
"""Share of the cells that are taken for a person at first."""

KERNEL_SHARE = 0.54
"""Part of a box, from its middle, whose cells learn the box."""

BOX_WEIGHT = 2.5
"""Weight of the loss of the boxes beside that of the middles."""

MAX_PEOPLE = 100
"""Most people that one picture is decoded to."""

MAX_OVERLAP = 0.6
"""IoU from which the less certain of two boxes is taken for the same person."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorShape(BackboneShape):
    """What is needed to build a detector again; stored in the bundle."""

    depths: tuple[int, ...] = (1, 2, 3, 2)

    input_px: int = 512
    """Longer side that pictures are brought to; a multiple of 32."""

    neck: int = 64
    """Channels of the pyramid."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        super().__post_init__()
        require_input(self.input_px)
        require_within("neck", (self.neck,), 1, MAX_CHANNELS)


class DetectorNet(nn.Module):
    """Backbone, pyramid down to stride 8, a middle map and four distances."""

    def __init__(self, shape: DetectorShape) -> None:
        """Build it with random weights."""
        super().__init__()
        self.shape = shape
        self.base = Backbone(shape)
        widths, channels = shape.widths[1:], shape.neck
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)
        self.merges = nn.ModuleList(conv(channels, channels) for _ in widths)
        self.middles = _head(channels, 1, bias=math.log(PRIOR / (1 - PRIOR)))
        self.sides = _head(channels, 4, bias=1.0)

    def forward(self, pictures_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of the middles (B, H, W) and boxes (B, 4, H, W), picture pixels."""
        features = self.base(pictures_BCHW)[1:]
        y = self.merges[-1](self.laterals[-1](features[-1]))
        for level in range(len(features) - 2, -1, -1):
            y = F.interpolate(y, scale_factor=2.0, mode="nearest")
            y = self.merges[level](y + self.laterals[level](features[level]))
        distances_B4HW = STRIDE * self.sides(y).float().clamp(max=6).exp()
        return self.middles(y).float().squeeze(1), _boxes(distances_B4HW)


def _head(channels: int, outputs: int, *, bias: float) -> nn.Sequential:
    last = nn.Conv2d(channels, outputs, 1)
    assert last.bias is not None  # noqa: S101 - for the type checker
    nn.init.constant_(last.bias, bias)
    return nn.Sequential(conv(channels, channels), last)


def _boxes(distances_B4HW: Tensor) -> Tensor:
    """Turn distances to the left, upper, right and lower side into x0, y0, x1, y1."""
    height, width = distances_B4HW.shape[2:]
    left, upper, right, lower = distances_B4HW.unbind(1)
    x_W, y_H = (cell_middles(size, distances_B4HW.device) for size in (width, height))
    y_H1 = y_H.unsqueeze(1)
    return torch.stack([x_W - left, y_H1 - upper, x_W + right, y_H1 + lower], dim=1)


def cell_middles(count: int, device: torch.device) -> Tensor:
    """Return where the middles of a row of cells are, picture pixels."""
    return (torch.arange(count, device=device) + 0.5) * STRIDE


def detection_loss(
    outputs: tuple[Tensor, Tensor], boxes_BN4: Tensor, ignored_BM4: Tensor
) -> Tensor:
    """Compare outputs with the people of each picture.

    Args:
        outputs: Logits and boxes, as ``DetectorNet.forward`` returns them.
        boxes_BN4: People, picture pixels; NaN where a picture has fewer than N.
        ignored_BM4: Regions where it is not known who is there; NaN likewise.

    Returns:
        Scalar: focal loss of the middles plus weighted GIoU loss of the boxes, per person.

    Source:
        Liu et al., Training-time-friendly network for real-time object detection, 2020.
    """
    logits_BHW, found_B4HW = outputs
    height, width = logits_BHW.shape[1:]
    x_W, y_H = (cell_middles(size, logits_BHW.device) for size in (width, height))
    kernels_BNHW = _kernels(boxes_BN4, x_W, y_H)
    heat_BHW = kernels_BNHW.amax(dim=1) if boxes_BN4.shape[1] else torch.zeros_like(logits_BHW)
    is_ignored_BHW = _covers(ignored_BM4, x_W, y_H).any(dim=1)
    num_people = (~boxes_BN4[..., 0].isnan()).sum().clamp(min=1)
    focal_BHW = _focal(logits_BHW, heat_BHW)
    middles = (focal_BHW * ~(is_ignored_BHW & (heat_BHW < 1))).sum() / num_people
    return middles + BOX_WEIGHT * _box_loss(found_B4HW, boxes_BN4, kernels_BNHW)


def _kernels(boxes_BN4: Tensor, x_W: Tensor, y_H: Tensor) -> Tensor:
    """Return for each person a Gaussian that is 1 in the cell of the middle, (B, N, H, W)."""
    columns_BNW = _kernel(boxes_BN4[..., 0::2], x_W)
    rows_BNH = _kernel(boxes_BN4[..., 1::2], y_H)
    return torch.nan_to_num(rows_BNH.unsqueeze(3) * columns_BNW.unsqueeze(2))


def _kernel(ends_BN2: Tensor, places_L: Tensor) -> Tensor:
    middle_BN1 = ends_BN2.mean(dim=2, keepdim=True)
    middle_BN1 = (torch.floor(middle_BN1 / STRIDE) + 0.5) * STRIDE
    sigma_BN1 = ((ends_BN2[..., 1:] - ends_BN2[..., :1]) * KERNEL_SHARE / 6).clamp(min=STRIDE / 3)
    return torch.exp(-0.5 * ((places_L - middle_BN1) / sigma_BN1) ** 2)


def _covers(boxes_BN4: Tensor, x_W: Tensor, y_H: Tensor) -> Tensor:
    """Tell which cells lie in which box, (B, N, H, W)."""
    x0, y0, x1, y1 = boxes_BN4.unsqueeze(3).unbind(2)
    is_column_BNW = (x_W >= x0) & (x_W < x1)
    is_row_BNH = (y_H >= y0) & (y_H < y1)
    return is_row_BNH.unsqueeze(3) & is_column_BNW.unsqueeze(2)


def _focal(logits_BHW: Tensor, heat_BHW: Tensor) -> Tensor:
    """Return the focal loss with fewer penalties near a middle (Law and Deng, CornerNet, 2018)."""
    probability = logits_BHW.sigmoid()
    hit = -F.logsigmoid(logits_BHW) * (1 - probability) ** 2
    miss = -F.logsigmoid(-logits_BHW) * probability**2 * (1 - heat_BHW) ** 4
    return torch.where(heat_BHW > 1 - 1e-4, hit, miss)


def _box_loss(found_B4HW: Tensor, boxes_BN4: Tensor, kernels_BNHW: Tensor) -> Tensor:
    """Return the mean GIoU loss over people; a cell in two kernels learns the smaller person."""
    if not boxes_BN4.shape[1]:
        return found_B4HW.sum() * 0
    size_BN2 = boxes_BN4[..., 2:] - boxes_BN4[..., :2]
    area_BN = torch.nan_to_num(size_BN2.prod(dim=2), nan=torch.inf)
    # beyond exp(-2), two sigmas, the kernel says nothing about whose cell it is
    in_kernel_BNHW = kernels_BNHW > math.exp(-2)
    owner_area_BNHW = torch.where(in_kernel_BNHW, area_BN[..., None, None], torch.inf)
    owner_B1HW = owner_area_BNHW.argmin(dim=1, keepdim=True)
    weight_BHW = kernels_BNHW.where(in_kernel_BNHW, 0).gather(1, owner_B1HW).squeeze(1)
    picture, row, column = weight_BHW.nonzero(as_tuple=True)
    if not len(picture):
        return found_B4HW.sum() * 0
    owner = owner_B1HW[picture, 0, row, column]
    weight = weight_BHW[picture, row, column]
    per_person = torch.zeros(boxes_BN4.shape[:2], device=weight.device)
    per_person = per_person.index_put((picture, owner), weight, accumulate=True)
    from torchvision.ops import generalized_box_iou_loss  # takes seconds to import

    loss = generalized_box_iou_loss(found_B4HW[picture, :, row, column], boxes_BN4[picture, owner])
    mean: Tensor = (loss * weight / per_person[picture, owner]).sum() / (per_person > 0).sum()
    return mean


def decode(outputs: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Find the people of each picture.

    Args:
        outputs: Logits and boxes, as ``DetectorNet.forward`` returns them.

    Returns:
        For each picture boxes (N, 4), picture pixels, and scores (N,), the surest first.
    """
    logits_BHW, boxes_B4HW = outputs
    is_peak_BHW = logits_BHW == F.max_pool2d(logits_BHW, 3, stride=1, padding=1)
    scores_BN = (logits_BHW.sigmoid() * is_peak_BHW).flatten(1)
    boxes_BN4 = boxes_B4HW.flatten(2).mT
    return [_best(*pair) for pair in zip(boxes_BN4, scores_BN, strict=True)]


def _best(boxes_N4: Tensor, scores_N: Tensor) -> tuple[Tensor, Tensor]:
    scores, rows = scores_N.topk(min(MAX_PEOPLE, len(scores_N)))
    boxes = boxes_N4[rows]
    kept = suppress_doubles(boxes.cpu().numpy(), scores.cpu().numpy(), MAX_OVERLAP)
    return boxes[kept], scores[kept]
