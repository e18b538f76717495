"""Augmentation of training crops in batches, on the device that trains.

Every view is a random affine window into a canvas. What lies outside the picture is filled with
another picture or with a flat colour, so that the border tells nothing about where the joints are
(FLIC crops were cut around the very joints they are labelled with). Not with the reflection of the
picture, which shows the same person a second time.

Shape letters: B views, H W rows and columns, J joints.
"""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

from poseact.datasets.canvas import CANVAS_MARGIN, CANVAS_PX, Canvases
from poseact.geometry import OUTSIDE_GREY
from poseact.skeleton import MIRROR

FLAT_COLOR_SHARE = 0.5
"""Share of the views whose outside is one colour; the others show another picture there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Jitter:
    """How far views differ from the nominal crop; a probability is per view."""

    scale: tuple[float, float] = (0.6, 1.8)
    """Smallest and largest side of the view over the nominal one; the middle is the most likely, in
    a triangle over its logarithm."""

    shift: float = 0.2
    """Largest shift along each axis, in nominal sides; none is the most likely, in a triangle."""

    aspect: float = 0.15
    """Largest stretch: width over height lies within exp(+-aspect)."""

    rotation_deg: float = 30.0
    """Largest rotation."""

    rotation_probability: float = 0.7
    color_probability: float = 0.8
    grey_probability: float = 0.05
    blur_probability: float = 0.25
    jpeg_probability: float = 0.15
    noise_probability: float = 0.2
    cutout_probability: float = 0.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class CanvasBatch:
    """Some canvases on the device that trains."""

    rgb_BHWC: Tensor
    """Pictures, (B, S, S, 3), uint8."""

    joints_BJ3: Tensor
    """x, y in canvas pixels and weight."""

    picture_B4: Tensor
    """Part of each canvas that shows the picture, canvas pixels."""

    @classmethod
    def take(
        cls, canvases: Canvases, rows: npt.NDArray[np.int64], device: torch.device
    ) -> "CanvasBatch":
        """Copy the canvases of some people to a device."""
        return cls(
            rgb_BHWC=torch.from_numpy(canvases.rgb_NHWC[rows]).to(device),
            joints_BJ3=torch.from_numpy(canvases.joints_NJ3[rows]).to(device),
            picture_B4=torch.from_numpy(canvases.picture_N4[rows]).to(device),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Views:
    """A batch of augmented crops."""

    rgb_BCHW: Tensor
    """(B, 3, S, S), float32, 0..255."""

    joints_BJ3: Tensor
    """x, y in crop pixels and weight; a joint may lie outside the crop."""


def augment(
    batch: CanvasBatch, size_px: int, *, jitter: Jitter, generator: torch.Generator
) -> Views:
    """Draw one random view of each canvas.

    Args:
        batch: The canvases.
        size_px: Side of the views.
        jitter: Ranges and probabilities.
        generator: Source of randomness, on the CPU; it fixes the result.

    Returns:
        The views, on the device of the batch.
    """
    dice = Dice(generator, batch.rgb_BHWC.device, len(batch.rgb_BHWC))
    to_canvas_B23 = _random_windows(jitter, dice, size_px)
    view_BCHW, is_outside_B1HW = sample(
        batch.rgb_BHWC, batch.picture_B4, to_canvas_B23, (size_px, size_px)
    )
    flat_BC11 = flat_colors(dice)
    is_flat_B111 = dice.chance(FLAT_COLOR_SHARE)[:, None, None, None]
    fill_BCHW = torch.where(is_flat_B111, flat_BC11, view_BCHW.roll(1, dims=0))
    rgb_BCHW = torch.where(is_outside_B1HW, fill_BCHW, view_BCHW)
    return Views(
        rgb_BCHW=degrade(rgb_BCHW, jitter, dice),
        joints_BJ3=_to_view(batch.joints_BJ3, to_canvas_B23),
    )


def sample(
    canvas_BHWC: Tensor, picture_B4: Tensor, to_canvas_B23: Tensor, size_px: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Look at canvases through affine windows.

    Args:
        canvas_BHWC: Canvases, (B, S, S, 3), uint8.
        picture_B4: Part of each that shows the picture, canvas pixels.
        to_canvas_B23: Maps from view to canvas pixels.
        size_px: Width and height of the views.

    Returns:
        Views (B, 3, H, W), float32, 0..255, and where they leave the picture, (B, 1, H, W).
    """
    canvas_BCHW = canvas_BHWC.permute(0, 3, 1, 2).float()
    axis_x, axis_y = (torch.arange(size, device=canvas_BCHW.device) + 0.5 for size in size_px)
    grid_y, grid_x = torch.meshgrid(axis_y, axis_x, indexing="ij")
    points_HW3 = torch.stack([grid_x, grid_y, torch.ones_like(grid_x)], dim=2)
    points_BHW2 = torch.einsum("hwk,bik->bhwi", points_HW3, to_canvas_B23)
    low, high = picture_B4[:, None, None, :2], picture_B4[:, None, None, 2:]
    is_outside_BHW = ~((points_BHW2 >= low) & (points_BHW2 < high)).all(dim=3)
    grid = points_BHW2 * (2 / canvas_BHWC.shape[1]) - 1
    view_BCHW = F.grid_sample(canvas_BCHW, grid, padding_mode="border", align_corners=False)
    return view_BCHW, is_outside_BHW.unsqueeze(1)


def flat_colors(dice: "Dice") -> Tensor:
    """Return one colour for each view, (B, 3, 1, 1), half of them the grey of the runtime."""
    flat_BC11 = dice.uniform(0, 255, 3, 1, 1)
    flat_BC11[dice.chance(0.5)] = float(OUTSIDE_GREY)
    return flat_BC11


def degrade(rgb_BCHW: Tensor, jitter: Jitter, dice: "Dice") -> Tensor:
    """Change colours, blur, hide, add noise and compress, as cameras do."""
    for change in (_recolor, _blur, _cut_out, _noise, _compress):
        rgb_BCHW = change(rgb_BCHW, jitter, dice)
    return rgb_BCHW


class Dice:
    """Random numbers, one row per view, drawn on the CPU so that every device sees the same."""

    def __init__(self, generator: torch.Generator, device: torch.device, rows: int) -> None:
        """Draw ``rows`` at a time."""
        self._generator = generator
        self._device = device
        self._rows = rows

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw (B, *shape) evenly between two bounds."""
        values = torch.rand(self._rows, *shape, generator=self._generator)
        return (low + (high - low) * values).to(self._device)

    def triangular(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw (B, *shape) between two bounds, the middle the most likely."""
        return (self.uniform(low, high, *shape) + self.uniform(low, high, *shape)) / 2

    def chance(self, probability: float) -> Tensor:
        """Draw (B,) bool."""
        return self.uniform(0, 1) < probability

    def noise(self, rows: int, *shape: int) -> Tensor:
        """Draw (rows, *shape) from the standard normal distribution."""
        return torch.randn(rows, *shape, generator=self._generator).to(self._device)


def _random_windows(jitter: Jitter, dice: Dice, size_px: int) -> Tensor:
    """Return 2x3 maps from view pixels to canvas pixels."""
    low, high = jitter.scale
    nominal_px = CANVAS_PX / CANVAS_MARGIN
    side = nominal_px * dice.triangular(math.log(low), math.log(high)).exp() / size_px
    stretch = (dice.uniform(-jitter.aspect, jitter.aspect) / 2).exp()
    angle = torch.deg2rad(dice.uniform(-jitter.rotation_deg, jitter.rotation_deg))
    angle = angle * dice.chance(jitter.rotation_probability)
    cos, sin = angle.cos() * side, angle.sin() * side
    across = torch.where(dice.chance(0.5), -stretch, stretch)  # negative: a mirror image
    linear_B22 = torch.stack(
        [torch.stack([cos * across, -sin], 1), torch.stack([sin * across, cos], 1)], 1
    )
    center_B2 = CANVAS_PX / 2 + nominal_px * dice.triangular(-jitter.shift, jitter.shift, 2)
    offset_B2 = center_B2 - linear_B22.sum(dim=2) * size_px / 2
    return torch.cat([linear_B22, offset_B2.unsqueeze(2)], dim=2)


def _to_view(joints_BJ3: Tensor, to_canvas_B23: Tensor) -> Tensor:
    moved = joints_BJ3[..., :2] - to_canvas_B23[:, None, :, 2]
    linear_B22 = to_canvas_B23[:, :, :2]
    xy = torch.linalg.solve(linear_B22, moved.mT).mT
    seen = torch.cat([xy, joints_BJ3[..., 2:]], dim=2)
    is_mirrored = (torch.linalg.det(linear_B22) < 0)[:, None, None]
    return torch.where(is_mirrored, seen[:, list(MIRROR)], seen)


def _recolor(rgb_BCHW: Tensor, jitter: Jitter, dice: Dice) -> Tensor:
    """Change saturation, white balance, contrast and brightness: one 3x3 map of colours a view."""
    saturation = dice.uniform(0.4, 1.5, 1, 1)
    saturation[dice.chance(jitter.grey_probability)] = 0.0
    identity = torch.eye(3, device=rgb_BCHW.device)
    gain = dice.uniform(0.6, 1.5, 1, 1) * dice.uniform(0.85, 1.15, 3, 1)
    mixing_B33 = gain * (saturation * identity + (1 - saturation) / 3)
    mean = rgb_BCHW.mean(dim=(1, 2, 3))[:, None, None]
    offset_B31 = mean * (1 - gain) + dice.uniform(-30, 30, 1, 1)
    is_kept = ~dice.chance(jitter.color_probability)
    mixing_B33[is_kept], offset_B31[is_kept] = identity, 0.0
    colored = torch.baddbmm(offset_B31, mixing_B33, rgb_BCHW.flatten(2)).clamp_(0, 255)
    return colored.view_as(rgb_BCHW)


def _blur(rgb_BCHW: Tensor, jitter: Jitter, dice: Dice) -> Tensor:
    """Shrink some views and enlarge them again, as small people in large frames look."""
    rows = dice.chance(jitter.blur_probability).nonzero().squeeze(1)
    factor = float(dice.uniform(1.5, 3.5)[0])
    if len(rows):
        small = F.interpolate(
            rgb_BCHW[rows], scale_factor=1 / factor, mode="bilinear", antialias=True
        )
        rgb_BCHW[rows] = F.interpolate(small, size=rgb_BCHW.shape[2:], mode="bilinear")
    return rgb_BCHW


def _cut_out(rgb_BCHW: Tensor, jitter: Jitter, dice: Dice) -> Tensor:
    """Hide a rectangle behind a flat colour, as furniture and other people do."""
    size_px = max(rgb_BCHW.shape[2:])
    center = dice.uniform(0, size_px, 2)[:, :, None]
    half = dice.uniform(0.05, 0.2, 2)[:, :, None] * size_px
    axis = torch.arange(size_px, device=rgb_BCHW.device)
    is_within_B2S = (axis - center).abs() < half
    height, width = rgb_BCHW.shape[2:]
    is_hidden = is_within_B2S[:, 1, :height, None] & is_within_B2S[:, 0, None, :width]
    is_hidden &= dice.chance(jitter.cutout_probability)[:, None, None]
    return torch.where(is_hidden.unsqueeze(1), dice.uniform(0, 255, 3)[:, :, None, None], rgb_BCHW)


def _noise(rgb_BCHW: Tensor, jitter: Jitter, dice: Dice) -> Tensor:
    rows = dice.chance(jitter.noise_probability).nonzero().squeeze(1)
    strength = dice.uniform(2, 15, 1, 1, 1)[rows]
    noisy = rgb_BCHW[rows] + strength * dice.noise(len(rows), *rgb_BCHW.shape[1:])
    rgb_BCHW[rows] = noisy.clamp(0, 255)
    return rgb_BCHW


def _compress(rgb_BCHW: Tensor, jitter: Jitter, dice: Dice) -> Tensor:
    rows = dice.chance(jitter.jpeg_probability).nonzero().squeeze(1)
    if len(rows):
        quality = int(dice.uniform(15, 70)[0])
        files = encode_jpeg(list(rgb_BCHW[rows].to(torch.uint8)), quality)
        in_memory = [file.cpu() for file in files]  # a GPU decodes, too, from the host's memory
        pictures = decode_jpeg(in_memory, mode=ImageReadMode.RGB, device=rgb_BCHW.device)
        rgb_BCHW[rows] = torch.stack(pictures).float()
    return rgb_BCHW
