"""Measures of pose: PCK and its relatives, from predicted and true joints.

Shape letters: P people, J joints.
"""

import dataclasses
from typing import Any

import numpy as np

from poseact.geometry import FloatArray
from poseact.skeleton import GROUPS, L_SHOULDER, MIRROR, R_SHOULDER

PCK_ALPHAS = (0.05, 0.1, 0.2)
AUC_ALPHAS = np.linspace(0, 0.2, 21)
BOOTSTRAP_ROUNDS = 1000
BOOTSTRAP_SEED = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoseErrors:
    """Distances between predicted and true joints; NaN where a joint has no label."""

    distance_PJ: FloatArray
    """Distance over the normaliser of the person (torso), no unit."""

    @classmethod
    def measure(
        cls, found_PJ2: FloatArray, true_PJ2: FloatArray, normalizer_P: FloatArray
    ) -> "PoseErrors":
        """Compare predictions with labels; all in the same pixels."""
        distance_PJ = np.linalg.norm(found_PJ2 - true_PJ2, axis=2)
        return cls(distance_PJ=(distance_PJ / normalizer_P[:, None]).astype(np.float32))

    def pck(self, alpha: float) -> dict[str, float]:
        """Return the percentage of joints within ``alpha``, by group and the mean of the joints.

        Each joint is averaged over people first, then left and right, so that a joint that is
        labelled less often weighs the same. NaN for a group without labels.
        """
        is_known_PJ = ~np.isnan(self.distance_PJ)
        hits_J = ((self.distance_PJ <= alpha) & is_known_PJ).sum(axis=0)
        with np.errstate(invalid="ignore"):
            share_J = 100.0 * hits_J / is_known_PJ.sum(axis=0)
        groups = {name: float(share_J[list(joints)].mean()) for name, joints in GROUPS.items()}
        return {**groups, "mean": float(share_J.mean())}

    def per_person(self) -> FloatArray:
        """Return the mean over each person's labelled joints, (P,); 0 for a person without any."""
        count_P = (~np.isnan(self.distance_PJ)).sum(axis=1)
        mean_P: FloatArray = np.nansum(self.distance_PJ, axis=1) / np.maximum(count_P, 1)
        return mean_P

    def auc(self) -> float:
        """Return the area under PCK over 0..0.2, mean of the joints, as a percentage."""
        return float(np.mean([self.pck(float(alpha))["mean"] for alpha in AUC_ALPHAS]))

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the bootstrap 95 % interval over people of the mean PCK."""
        rng = np.random.default_rng(BOOTSTRAP_SEED)
        size = len(self.distance_PJ)
        draws = [
            PoseErrors(distance_PJ=self.distance_PJ[rng.integers(0, size, size)]).pck(alpha)["mean"]
            for _ in range(BOOTSTRAP_ROUNDS)
        ]
        low, high = np.nanpercentile(draws, [2.5, 97.5])
        return float(low), float(high)

    def summary(self) -> dict[str, Any]:
        """Return PCK at each alpha, AUC and the interval, ready for JSON."""
        return {
            "pck": {str(alpha): self.pck(alpha) for alpha in PCK_ALPHAS},
            "auc": self.auc(),
            "pck_0.2_mean_interval": list(self.interval(0.2)),
        }


def observer_centric(joints_PJ2: FloatArray) -> FloatArray:
    """Swap left and right of everyone whose left shoulder lies left of the right one."""
    is_turned = joints_PJ2[:, L_SHOULDER, 0] < joints_PJ2[:, R_SHOULDER, 0]
    return np.where(is_turned[:, None, None], joints_PJ2[:, list(MIRROR)], joints_PJ2)


def swap_rate(found_PJ2: FloatArray, true_PJ2: FloatArray) -> float:
    """Return the percentage of people who fit their labels better with left and right swapped."""

    def misfit_P(joints_PJ2: FloatArray) -> FloatArray:
        misfit: FloatArray = np.linalg.norm(joints_PJ2 - true_PJ2, axis=2)
        total: FloatArray = np.nansum(misfit, axis=1)
        return total

    is_swapped_P = misfit_P(found_PJ2[:, list(MIRROR)]) < misfit_P(found_PJ2)
    return 100 * float(is_swapped_P.mean())


def coordinate_errors(found_PJ2: FloatArray, true_PJ2: FloatArray) -> dict[str, float]:
    """Return errors over the labelled joints, in the pixels of the arguments.

    Returns:
        ``mean_error_px`` and ``median_error_px`` of the joints' distances, ``mse_px2`` over the
        14 numbers, and ``r2``: the share of the variance of all these numbers together that is
        explained, as the seed's re-implementation counts it; the mean pose has about 0.7.
    """
    distance = np.linalg.norm(found_PJ2 - true_PJ2, axis=2)
    mse_px2 = float(np.nanmean((found_PJ2 - true_PJ2) ** 2))
    return {
        "mean_error_px": float(np.nanmean(distance)),
        "median_error_px": float(np.nanmedian(distance)),
        "mse_px2": mse_px2,
        "r2": 1 - mse_px2 / float(np.nanvar(true_PJ2)),
    }
