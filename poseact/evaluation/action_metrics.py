"""Figures of an action model on labelled poses.

Shapes: N poses, A actions in the order of the classes.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from poseact.datasets.actions import ACTIONS, ActionPoses
from poseact.datasets.pose_crops import in_own_crops
from poseact.evaluation.calibration import brier_score, expected_calibration_error
from poseact.geometry import FloatArray
from poseact.models.action import ActionClassifier


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActionFigures:
    """Per-frame figures of METRICS' action protocol; shares in [0, 1]."""

    num_answers: int
    accuracy: float
    macro_f1: float
    ece: float
    """ECE-15 of the best score, equal-mass bins."""

    brier: float
    """In [0, 2]."""

    precision: dict[str, float]
    recall: dict[str, float]
    confusion: list[list[int]]
    """Answers by true action (row) and predicted action (column)."""

    def summary(self) -> str:
        """Return the figures that are single numbers as text."""
        return (
            f"accuracy {100 * self.accuracy:.1f} %, macro-F1 {100 * self.macro_f1:.1f} %, "
            f"ECE-15 {self.ece:.4f}, Brier {self.brier:.4f}"
        )

    def num_labelled(self, name: str) -> int:
        """Return how many answers there are to an action."""
        return sum(self.confusion[list(self.recall).index(name)])

    def confusions(self, most: int = 8) -> list[tuple[str, str, int]]:
        """Return the most frequent confusions: true action, predicted action, count."""
        pairs = [
            (true, predicted, count)
            for true, counts in zip(self.recall, self.confusion, strict=True)
            for predicted, count in zip(self.recall, counts, strict=True)
            if true != predicted and count
        ]
        return sorted(pairs, key=lambda pair: -pair[2])[:most]

    def as_json(self) -> dict[str, Any]:
        """Return plain values, shares rounded to four digits."""
        return {
            "num_answers": self.num_answers,
            "accuracy": round(self.accuracy, 4),
            "macro_f1": round(self.macro_f1, 4),
            "ece_15": round(self.ece, 4),
            "brier": round(self.brier, 4),
            "precision": {name: round(share, 4) for name, share in self.precision.items()},
            "recall": {name: round(share, 4) for name, share in self.recall.items()},
            "confusion": self.confusion,
        }


def measure_actions(
    labels_N: npt.NDArray[np.int64], scores_NA: FloatArray, classes: Sequence[str] = ACTIONS
) -> ActionFigures:
    """Compare scores with labels.

    Args:
        labels_N: Index into the classes of each true action, (N,).
        scores_NA: Probability of each action, (N, A); the largest is the prediction.
        classes: Name of each column.

    Returns:
        The figures; precision or recall of an action that never occurs is 0, and macro F1 is the
        mean over the actions that do occur among the labels.
    """
    predicted_N = scores_NA.argmax(axis=1)
    indices = np.arange(len(classes))
    precision_A, recall_A, f1_A, support_A = precision_recall_fscore_support(
        labels_N, predicted_N, labels=indices, zero_division=0
    )
    return ActionFigures(
        num_answers=len(labels_N),
        accuracy=float(np.mean(predicted_N == labels_N)),
        macro_f1=float(f1_A[support_A > 0].mean()),
        ece=expected_calibration_error(scores_NA.max(axis=1), predicted_N == labels_N),
        brier=brier_score(labels_N, scores_NA),
        precision=dict(zip(classes, precision_A.tolist(), strict=True)),
        recall=dict(zip(classes, recall_A.tolist(), strict=True)),
        confusion=confusion_matrix(labels_N, predicted_N, labels=indices).tolist(),
    )


def measure_classifier(classifier: ActionClassifier, poses: ActionPoses) -> ActionFigures:
    """Return the figures of a classifier on labelled poses, everybody in a crop of their own."""
    scores_NA = classifier.predict(in_own_crops(poses.joints_NJ3))
    return measure_actions(poses.labels_N, scores_NA, poses.classes)
