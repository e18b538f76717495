"""People with predicted and true joints, and everything that the pose table tells of them.

Shape letters: P people, J joints.
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from poseact.evaluation.calibration import expected_calibration_error
from poseact.evaluation.pck import PoseErrors, coordinate_errors, observer_centric, swap_rate
from poseact.evaluation.subjects import Subjects, each_transformed
from poseact.geometry import FloatArray, invert

HIT = 0.2
"""Share of the torso within which a joint counts as found."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoseSamples:
    """What a model said of people, and what is true."""

    subjects: Subjects
    """The people."""

    found_PJ3: FloatArray
    """x, y in picture pixels and confidence."""

    jittered_PJ3: FloatArray | None = None
    """The same, found in jittered crops."""

    def errors(self) -> PoseErrors:
        """Return the distances between found and true joints over the torso."""
        return self._errors(self.found_PJ3)

    def report(self) -> dict[str, Any]:
        """Return all figures, ready for JSON: PCK and shares in percent."""
        subjects, errors = self.subjects, self.errors()
        found_PJ2 = self.found_PJ3[..., :2]
        observer = PoseErrors.measure(
            observer_centric(found_PJ2), observer_centric(subjects.true_PJ2), subjects.torso_P
        )
        return {
            "protocol": subjects.description,
            "data_hash": subjects.data_hash,
            "num_people": len(found_PJ2),
            "num_groups": len(set(subjects.groups)),
            "group_kind": subjects.group_kind,
            **self._in_crops(found_PJ2),
            **errors.summary(),
            "observer_centric_pck": {str(HIT): observer.pck(HIT)},
            "swap_rate": swap_rate(found_PJ2, subjects.true_PJ2),
            "confidence": self._calibration(errors),
            "mean_pose": self._floor(),
            "groups": self._by_group(errors),
            **self._jittered(),
        }

    def _errors(self, found: FloatArray) -> PoseErrors:
        return PoseErrors.measure(found[..., :2], self.subjects.true_PJ2, self.subjects.torso_P)

    def _floor(self) -> dict[str, Any]:
        floor_PJ2 = each_transformed(
            np.broadcast_to(self.subjects.mean_pose_J2, self.subjects.true_PJ2.shape),
            [invert(matrix) for matrix in self.subjects.to_crop_P23],
        )
        pck = self._errors(floor_PJ2).pck(HIT)
        return {**self._in_crops(floor_PJ2), "pck": {str(HIT): pck}}

    def _jittered(self) -> dict[str, Any]:
        if self.jittered_PJ3 is None:
            return {}
        return {"jittered_crops_pck": {str(HIT): self._errors(self.jittered_PJ3).pck(HIT)}}

    def _in_crops(self, found_PJ2: FloatArray) -> dict[str, float]:
        return coordinate_errors(
            each_transformed(found_PJ2, self.subjects.to_crop_P23),
            each_transformed(self.subjects.true_PJ2, self.subjects.to_crop_P23),
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
        """Return PCK by film or recording; a picture holds too few people to tell."""
        if self.subjects.group_kind == "picture":
            return {}
        groups = np.array(self.subjects.groups)
        report = {}
        for group in sorted(set(self.subjects.groups)):
            part = PoseErrors(distance_PJ=errors.distance_PJ[groups == group])
            report[group] = {"num_people": len(part.distance_PJ), **part.pck(HIT)}
        return report
