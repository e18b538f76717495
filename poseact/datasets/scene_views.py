"""What a detector learns from: random views of whole pictures, with the boxes of everybody.

Shape letters: N scenes, B views, P people and I ignored regions of a scene (NaN where there are
fewer), S side of a canvas, H W rows and columns of a view.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from poseact.datasets.augment import Dice, Jitter, degrade, flat_colors, sample
from poseact.datasets.person import read_rgb
from poseact.datasets.rendered.crowd import render_crowd
from poseact.datasets.scenes import LabelledScene
from poseact.geometry import FloatArray, ImageArray

CANVAS_PX = 512
"""Side of a canvas; a picture is brought to it by its longer side."""

RENDERED_HEIGHT_PX = 384
"""Height of a rendered place; it is as wide as a canvas."""

VIEW_PX = (480, 384)
"""Width and height of a view."""

SCALE = (0.45, 1.8)
"""Smallest and largest picture over the largest that fits into the view; the middle is the most
likely, in a triangle over the logarithm."""

ASPECT = 0.2
"""Largest stretch: width over height changes by exp(+-aspect)."""

MIN_HEIGHT_PX = 10
"""People who are lower in a view are neither to be found nor to be passed over."""

MIN_VISIBLE = 0.3
"""Likewise people of whom less of the box is left in the view."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SceneCanvases:
    """Scenes in memory, 0.8 MB each."""

    rgb_NSSC: npt.NDArray[np.uint8]
    """Pictures in the upper left corner of (N, S, S, 3)."""

    picture_N4: FloatArray
    """x0, y0, x1, y1 of the part that shows the picture, canvas pixels."""

    boxes_NP4: FloatArray
    """People, canvas pixels."""

    ignored_NI4: FloatArray
    """Regions where it is not known who is there, canvas pixels."""

    def __len__(self) -> int:
        """Count the scenes."""
        return len(self.rgb_NSSC)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SceneViews:
    """A batch of views."""

    rgb_BCHW: Tensor
    """(B, 3, H, W), float32, 0..255."""

    boxes_BP4: Tensor
    """People, view pixels, cut at the borders of the view."""

    ignored_BI4: Tensor
    """Regions where it is not known who is there: also people too low or too much cut."""


def draw_scenes(
    scenes: Sequence[LabelledScene], *, num_rendered: int = 0, seed: int = 0
) -> SceneCanvases:
    """Read scenes, render more, and bring each to a canvas.

    Args:
        scenes: What to read; at least one.
        num_rendered: How many pictures of rendered people to add; every other one is painted on
            an empty scene, if there are any.
        seed: Fixes the rendered ones.

    Raises:
        InputError: If a picture cannot be read.
    """
    count = len(scenes) + num_rendered
    rgb_NSSC = np.zeros((count, CANVAS_PX, CANVAS_PX, 3), np.uint8)
    picture_N4 = np.zeros((count, 4), np.float32)
    boxes, ignored = [], []
    read = ((read_rgb(scene.path), scene.boxes_N4, scene.ignored_M4) for scene in scenes)
    rendered = _render(num_rendered, seed, [scene for scene in scenes if scene.is_empty])
    for i, (rgb_HWC, boxes_P4, ignored_I4) in enumerate(itertools.chain(read, rendered)):
        scale = CANVAS_PX / max(rgb_HWC.shape)
        height, width = (round(side * scale) for side in rgb_HWC.shape[:2])
        rgb_NSSC[i, :height, :width] = cv2.resize(rgb_HWC, (width, height))
        picture_N4[i, 2:] = width, height
        boxes.append(boxes_P4 * np.float32(scale))
        ignored.append(ignored_I4 * np.float32(scale))
    return SceneCanvases(
        rgb_NSSC=rgb_NSSC,
        picture_N4=picture_N4,
        boxes_NP4=_padded(boxes),
        ignored_NI4=_padded(ignored),
    )


def _render(
    count: int, seed: int, backdrops: Sequence[LabelledScene]
) -> Iterator[tuple[ImageArray, FloatArray, FloatArray]]:
    """Yield pictures of rendered people, their boxes, and the boxes of those hardly seen."""
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        backdrop_HWC = (
            read_rgb(backdrops[i // 2 % len(backdrops)].path) if i % 2 and backdrops else None
        )
        width, height = (
            (CANVAS_PX, RENDERED_HEIGHT_PX) if backdrop_HWC is None else backdrop_HWC.shape[1::-1]
        )
        yield render_crowd(rng, width, height, backdrop_HWC=backdrop_HWC)


def look(
    canvases: SceneCanvases,
    rows: npt.NDArray[np.int64],
    *,
    device: torch.device,
    generator: torch.Generator,
) -> SceneViews:
    """Draw one random view of some scenes.

    Args:
        canvases: All scenes.
        rows: Which of them.
        device: Where to.
        generator: Source of randomness, on the CPU; it fixes the result.
    """
    picture_B4, boxes_BP4, ignored_BI4 = (
        torch.from_numpy(values[rows]).to(device)
        for values in (canvases.picture_N4, canvases.boxes_NP4, canvases.ignored_NI4)
    )
    dice = Dice(generator, device, len(rows))
    scale_B2, offset_B2 = _placement(picture_B4[:, 2:], dice)
    to_canvas_B23 = torch.cat(
        [torch.diag_embed(1 / scale_B2), (-offset_B2 / scale_B2).unsqueeze(2)], dim=2
    )
    canvas_BSSC = torch.from_numpy(canvases.rgb_NSSC[rows]).to(device)
    view_BCHW, is_outside_B1HW = sample(canvas_BSSC, picture_B4, to_canvas_B23, VIEW_PX)
    rgb_BCHW = torch.where(is_outside_B1HW, flat_colors(dice), view_BCHW)
    people_BP4, unclear_BP4 = _cut(_moved(boxes_BP4, scale_B2, offset_B2))
    return SceneViews(
        rgb_BCHW=degrade(rgb_BCHW, Jitter(), dice),
        boxes_BP4=people_BP4,
        ignored_BI4=torch.cat([_moved(ignored_BI4, scale_B2, offset_B2), unclear_BP4], dim=1),
    )


def _placement(size_B2: Tensor, dice: Dice) -> tuple[Tensor, Tensor]:
    """Return scale, negative along x for a mirror image, and offset of the pictures in the view."""
    view_px = torch.tensor(VIEW_PX, device=size_B2.device)
    fit_B = (view_px / size_B2).amin(dim=1)
    scale_B = fit_B * dice.triangular(math.log(SCALE[0]), math.log(SCALE[1])).exp()
    stretch_B = (dice.uniform(-ASPECT, ASPECT) / 2).exp()
    scale_B2 = torch.stack([scale_B * stretch_B, scale_B / stretch_B], dim=1)
    # anywhere inside the view, or, if larger than it, anywhere that leaves no border
    offset_B2 = (view_px - scale_B2 * size_B2) * dice.uniform(0, 1, 2)
    is_mirrored_B = dice.chance(0.5)
    scale_B2[is_mirrored_B, 0] *= -1
    offset_B2[is_mirrored_B, 0] -= (scale_B2 * size_B2)[is_mirrored_B, 0]
    return scale_B2, offset_B2


def _moved(boxes_BP4: Tensor, scale_B2: Tensor, offset_B2: Tensor) -> Tensor:
    corners_BP22 = boxes_BP4.unflatten(2, (2, 2)) * scale_B2[:, None, None]
    corners_BP22 = corners_BP22 + offset_B2[:, None, None]
    return torch.cat([corners_BP22.amin(dim=2), corners_BP22.amax(dim=2)], dim=2)


def _cut(boxes_BP4: Tensor) -> tuple[Tensor, Tensor]:
    """Cut boxes at the borders of the view; return those to be found and those to be ignored."""
    view_px = torch.tensor(VIEW_PX * 2, device=boxes_BP4.device)
    cut_BP4 = boxes_BP4.clamp(min=0).minimum(view_px)
    size_BP2, whole_BP2 = (boxes[..., 2:] - boxes[..., :2] for boxes in (cut_BP4, boxes_BP4))
    visible_BP = size_BP2.prod(dim=2) / whole_BP2.prod(dim=2)
    is_clear_BP1 = ((visible_BP >= MIN_VISIBLE) & (size_BP2[..., 1] >= MIN_HEIGHT_PX)).unsqueeze(2)
    return cut_BP4.where(is_clear_BP1, torch.nan), cut_BP4.where(~is_clear_BP1, torch.nan)


def _padded(boxes: Sequence[FloatArray]) -> FloatArray:
    padded = np.full((len(boxes), max(map(len, boxes)), 4), np.nan, np.float32)
    for row, few in zip(padded, boxes, strict=True):
        row[: len(few)] = few
    return padded
