"""How surprising it would be if somebody who was lost here went on over there.

Shape letters: K tracklets, G pairs of one tracklet's end and another's start.
"""

import dataclasses
from typing import Final

import numpy as np

from poseact.tracking.motion import NOISE, RealArray, fit_lines
from poseact.tracking.tracklets import IndexArray

PLACE: Final = 0.17
"""How far the boxes of one person may be off, standard deviation, in sizes: a tenth of the height,
for a box that is partly covered moves."""

TURN: Final = 1.0
"""How much people change their speed, standard deviation, in sizes per second."""

HEIGHT_RATIO: Final = 0.1
"""How much the height of a box may change, standard deviation of its logarithm."""

MOST_FOR_HEIGHT: Final = 4.0
"""What the height counts at most: a table hides legs, and the edge of the picture does."""


@dataclasses.dataclass(frozen=True)
class Ends:
    """Where tracklets end, or start."""

    time_s_K: RealArray
    centre_K2: RealArray
    """Of the box, pixels."""

    speed_K2: RealArray
    """Pixels per second."""

    speed_variance_K: RealArray
    """In sizes squared per second squared."""

    log_size_K: RealArray
    """Of the root of the area, pixels."""

    log_height_K: RealArray
    log_height_variance_K: RealArray

    @classmethod
    def fit(cls, time_s_K: RealArray, moments_K35: RealArray) -> "Ends":
        """Fit lines at the ends.

        Args:
            time_s_K: Time of each end, seconds.
            moments_K35: Moments, counted from then, of the boxes of the tracklet and of the
                person's tracklets further in.
        """
        lines = fit_lines(moments_K35)
        return cls(
            time_s_K=time_s_K,
            centre_K2=lines.centre_M2,
            speed_K2=lines.speed_M2,
            speed_variance_K=NOISE**2 / lines.spread_s2_M,
            log_size_K=np.log(np.maximum(lines.sides_M2, 1)).mean(axis=1),
            log_height_K=np.log(np.maximum(lines.sides_M2[:, 1], 1)),
            log_height_variance_K=NOISE**2 / lines.weight_M,
        )


def surprise(ends: Ends, end_G: IndexArray, starts: Ends, start_G: IndexArray) -> RealArray:
    """Return the negative log-likelihood of each end going on as a start.

    For somebody who keeps walking as they did, their place, speed and height are normally
    distributed, the more widely the longer they were lost and the less is known about them. What
    is least surprising of all has 0.

    Args:
        ends: Where tracklets end.
        end_G: Tracklet whose end it is, (G,).
        starts: Where tracklets start.
        start_G: Tracklet whose start it is, (G,); later than the end.

    Returns:
        Surprise, (G,), 0 or more.
    """
    gap_s_G = starts.time_s_K[start_G] - ends.time_s_K[end_G]
    size_G1 = np.exp((ends.log_size_K[end_G] + starts.log_size_K[start_G]) / 2)[:, None]
    before_G2, after_G2 = ends.speed_K2[end_G] / size_G1, starts.speed_K2[start_G] / size_G1
    variance_before_G = ends.speed_variance_K[end_G]
    variance_after_G = starts.speed_variance_K[start_G]

    # mean speed in between, each side as far as it is known
    share_after_G = variance_before_G / (variance_before_G + variance_after_G)
    speed_G2 = before_G2 + share_after_G[:, None] * (after_G2 - before_G2)
    way_G2 = (starts.centre_K2[start_G] - ends.centre_K2[end_G]) / size_G1
    place_G = _of_vector(
        way_G2 - speed_G2 * gap_s_G[:, None],
        PLACE**2 + (TURN**2 + variance_before_G * share_after_G) * gap_s_G**2,
        PLACE**2,
    )
    speed_G = _of_vector(
        after_G2 - before_G2, TURN**2 + variance_before_G + variance_after_G, TURN**2
    )
    ratio_G = starts.log_height_K[start_G] - ends.log_height_K[end_G]
    variance_G = ends.log_height_variance_K[end_G] + starts.log_height_variance_K[start_G]
    height_G = np.square(ratio_G) / (HEIGHT_RATIO**2 + variance_G) / 2
    return place_G + speed_G + np.minimum(height_G, MOST_FOR_HEIGHT)


def _of_vector(off_G2: RealArray, variance_G: RealArray, least_variance: float) -> RealArray:
    """Return the negative log-likelihood of an offset, 0 at best."""
    unlikely_G: RealArray = np.square(off_G2).sum(axis=1) / variance_G / 2
    return unlikely_G + np.log(variance_G / least_variance)
