"""Where moving boxes are and how fast they go: straight lines fitted to noisy samples.

A line is kept as its moments, so that time can pass and samples can be added without keeping
them. Shape letters: M lines; moments_M35 has a row for each of the powers 0, 1 and 2 of time,
counted from now, and a column for the weights and for each number of a sample.
"""

import dataclasses
import math
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

RealArray: TypeAlias = npt.NDArray[np.float64]

MEMORY_S: Final = 0.15
"""Age at which a sample weighs 1/e. Long enough to see a walk through the noise of the boxes, short
enough to follow somebody who turns: of 0.12 to 0.3 s the best on generated crowds."""

NOISE: Final = 0.05
"""Standard deviation of a found box's place, in sizes (root of the area) of the box: 3 % of the
height of a standing person."""

SPEED: Final = 1.4
"""How fast people are before anything is known, standard deviation, in sizes per second: a brisk
walk, 0.8 heights per second."""

PRIOR_S2: Final = (NOISE / SPEED) ** 2
"""How firmly a line is held at rest by ``SPEED``, in the unit of its spread."""


@dataclasses.dataclass(frozen=True)
class Lines:
    """Straight lines as they are now."""

    centre_M2: RealArray
    sides_M2: RealArray
    """Width and height, which are taken to stay: their change is mostly noise."""

    speed_M2: RealArray
    """Of the centre, pixels a second."""

    weight_M: RealArray
    """Sum of the weights of the samples; one taken now weighs 1."""

    spread_s2_M: RealArray
    """Weighted spread of the sample times around their mean, prior included: the variance of the
    speed is that of a sample over this."""

    @property
    def boxes_M4(self) -> RealArray:
        """Boxes x0 y0 x1 y1."""
        half_M2 = self.sides_M2 / 2
        return np.concatenate((self.centre_M2 - half_M2, self.centre_M2 + half_M2), axis=1)


def moments_of(boxes_M4: RealArray, time_s_M: RealArray | float = 0.0) -> RealArray:
    """Return the moments of one box each.

    The further from now, in the past or in the future, the less a box weighs.

    Args:
        boxes_M4: x0 y0 x1 y1, (M, 4), pixels.
        time_s_M: When they were found, (M,) or one for all, seconds counted from now.

    Returns:
        Moments, (M, 3, 5); those of boxes of one person may be added.
    """
    time_s_M1 = np.broadcast_to(time_s_M, len(boxes_M4))[:, None]
    weight_M1 = np.exp(-np.abs(time_s_M1) / MEMORY_S)
    centre_M2 = (boxes_M4[:, :2] + boxes_M4[:, 2:]) / 2
    sides_M2 = boxes_M4[:, 2:] - boxes_M4[:, :2]
    power_0 = np.concatenate((weight_M1, weight_M1 * centre_M2, weight_M1 * sides_M2), axis=1)
    return np.stack((power_0, power_0 * time_s_M1, power_0 * time_s_M1**2), axis=1)


def shifted(moments: RealArray, step_s: float) -> RealArray:
    """Move now by a step, backward if it is negative; samples fade.

    Args:
        moments: (..., 3, 5).
        step_s: Seconds. All samples must lie on the side that now moves away from.

    Returns:
        Moments of the same samples, (..., 3, 5).
    """
    shift_33 = np.array(((1, 0, 0), (-step_s, 1, 0), (step_s**2, -2 * step_s, 1)))
    moved: RealArray = (math.exp(-abs(step_s) / MEMORY_S) * shift_33) @ moments
    return moved


def fit_lines(moments_M35: RealArray) -> Lines:
    """Fit lines by least squares, held at rest by the prior where samples say little.

    Args:
        moments_M35: Moments, (M, 3, 5), of at least one box each.
    """
    weight_M1, weight_time_M1 = moments_M35[:, 0, :1], moments_M35[:, 1, :1]
    mean_M4 = moments_M35[:, 0, 1:] / weight_M1
    mean_time_M1 = weight_time_M1 / weight_M1
    spread_M1 = moments_M35[:, 2, :1] - weight_time_M1 * mean_time_M1 + PRIOR_S2
    speed_M2 = (moments_M35[:, 1, 1:3] - weight_time_M1 * mean_M4[:, :2]) / spread_M1
    return Lines(
        centre_M2=mean_M4[:, :2] - speed_M2 * mean_time_M1,
        sides_M2=mean_M4[:, 2:],
        speed_M2=speed_M2,
        weight_M=weight_M1[:, 0],
        spread_s2_M=spread_M1[:, 0],
    )
