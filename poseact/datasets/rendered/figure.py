"""A person in front of the camera: from points in space to pixels, and whose pixels are whose."""

import dataclasses
from typing import Final

import numpy as np

from poseact.datasets.rendered.body import Solid, Vector
from poseact.datasets.rendered.look import Look
from poseact.datasets.rendered.paint import Brush, Canvas, Point

LEGS, TRUNK, HEAD_PART, L_ARM, R_ARM, NUM_PARTS = range(6)
"""Parts of a person; an owner number is ``person * NUM_PARTS + part``."""


CAMERA_STATURES: Final = 4.0
"""Distance of the camera: what comes towards it grows a little."""


@dataclasses.dataclass(frozen=True, eq=False)
class Figure:
    """One person about to be painted, with the camera that looks at it."""

    canvas: Canvas
    look: Look
    solid: Solid
    person: int
    origin_px: Point

    @property
    def scale(self) -> float:
        """Pixels of a stature at the trunk."""
        return self.canvas.px_per_stature

    def owner(self, part: int) -> int:
        """Return the number that a part leaves in the canvas."""
        return self.person * NUM_PARTS + part

    def brush(self, part: int) -> Brush:
        """Return the brush for a part."""
        return Brush(self.canvas, self.owner(part))

    def place(self, points: Vector) -> Point:
        """Return the pixels of points in space, (..., 2)."""
        near = CAMERA_STATURES / (CAMERA_STATURES - points[..., 2:])
        flat_xy = points[..., :2] * (1, -1)
        # perspective about the chest, so that a person's scale is that of its trunk
        middle = np.array([0.0, -0.7])
        return np.asarray(self.origin_px + self.scale * (middle + (flat_xy - middle) * near))

    def near(self, point: Vector) -> float:
        """Return how many pixels a stature has at a point."""
        return float(self.scale * CAMERA_STATURES / (CAMERA_STATURES - point[2]))
