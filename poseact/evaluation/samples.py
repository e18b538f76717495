"""People with predicted and true joints, and everything that the pose table tells of them.

Shape letters: P people, J joints.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from poseact.evaluation.calibration import expected_calibration_error
from poseact.evaluation.pck import PoseErrors, coordinate_errors, observer_centric, swap_rate
from poseact.geometry import FloatArray, invert, transform_points

CROP_PX = 224
"""Side of the crops in which errors in pixels are given."""

HIT = 0.2
"""Share of the torso within which a joint counts as found."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoseSamples:
    """What a model said of people, and what is true."""

    found_PJ3: FloatArray
    """x, y in picture pixels and confidence."""

    true_PJ2: FloatArray
    """x, y in picture pixels; NaN without a label."""

    torso_P: FloatArray
    """Normaliser, picture pixels."""

    to_crop_P23: FloatArray
    """Maps from picture pixels to those of a 224-pixel crop of each person."""

    mean_pose_J2: FloatArray
    """Mean pose in such crops: what predicting the same for everybody gives."""

    groups: Sequence[str]
    """Film or recording of each person."""

    def report(self) -> dict[str, Any]:
        """Return all figures, ready for JSON: PCK and shares in percent."""
        errors = self._errors(self.found_PJ3[..., :2])
        floor_PJ2 = each_transformed(
            np.broadcast_to(self.mean_pose_J2, self.true_PJ2.shape),
            [invert(matrix) for matrix in self.to_crop_P23],
        )
        observer = PoseErrors.measure(
            observer_centric(self.found_PJ3[..., :2]),
            observer_centric(self.true_PJ2),
            self.torso_P,
        )
        return {
            "num_people": len(self.true_PJ2),
            **self._in_crops(self.found_PJ3[..., :2]),
            **errors.summary(),
            "observer_centric_pck": {str(HIT): observer.pck(HIT)},
            "swap_rate": swap_rate(self.found_PJ3[..., :2], self.true_PJ2),
            "confidence": self._calibration(errors),
            "mean_pose": {
                **self._in_crops(floor_PJ2),
                "pck": {str(HIT): self._errors(floor_PJ2).pck(HIT)},
            },
            "groups": self._by_group(errors),
        }

    def _errors(self, found_PJ2: FloatArray) -> PoseErrors:
        return PoseErrors.measure(found_PJ2, self.true_PJ2, self.torso_P)

    def _in_crops(self, found_PJ2: FloatArray) -> dict[str, float]:
        return coordinate_errors(
            each_transformed(found_PJ2, self.to_crop_P23),
            each_transformed(self.true_PJ2, self.to_crop_P23),
        )

    def _calibration(self, errors: PoseErrors) -> dict[str, float | None]:
        is_known_PJ = ~np.isnan(errors.distance_PJ)
        confidence_N = self.found_PJ3[..., 2][is_known_PJ]
        is_hit_N: npt.NDArray[np.bool_] = errors.distance_PJ[is_known_PJ] <= HIT
        is_mixed = is_hit_N.any() and not is_hit_N.all()
        return {
            "auroc": float(roc_auc_score(is_hit_N, confidence_N)) if is_mixed else None,
            "ece": expected_calibration_error(confidence_N, is_hit_N),
        }

    def _by_group(self, errors: PoseErrors) -> dict[str, dict[str, float]]:
        groups = np.array(self.groups)
        report = {}
        for group in sorted(set(self.groups)):
            part = PoseErrors(distance_PJ=errors.distance_PJ[groups == group])
            report[group] = {"num_people": len(part.distance_PJ), **part.pck(HIT)}
        return report


def each_transformed(joints_PJ2: FloatArray, maps: Sequence[FloatArray] | FloatArray) -> FloatArray:
    """Apply to the joints of each person the 2x3 map of that person."""
    return np.stack(
        [transform_points(joints, matrix) for joints, matrix in zip(joints_PJ2, maps, strict=True)]
    )
