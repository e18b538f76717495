"""Makes a confidence a probability: the share of joints so confident that are right."""

import dataclasses

import numpy as np
import numpy.typing as npt

from poseact.geometry import FloatArray

_CLIP = 1e-4
"""Keeps the log-odds finite."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """Maps confidences so that their log-odds change along a line.

    Source:
        Platt, Probabilistic outputs for support vector machines, 1999.
    """

    slope: float
    offset: float

    @classmethod
    def fit(cls, confidence_N: FloatArray, is_right_N: npt.NDArray[np.bool_]) -> "Calibration":
        """Fit it to joints of people whom the model has not seen as they were shown here.

        Args:
            confidence_N: What the model claimed, (N,), in [0, 1].
            is_right_N: Whether the joint was found, (N,).

        Returns:
            The map; one that changes nothing where all were right or all wrong.
        """
        from sklearn.linear_model import LogisticRegression  # slow to import, for training alone

        if is_right_N.all() or not is_right_N.any():
            return cls(slope=1.0, offset=0.0)
        model = LogisticRegression(C=np.inf).fit(_log_odds(confidence_N)[:, None], is_right_N)
        return cls(slope=float(model.coef_[0, 0]), offset=float(model.intercept_[0]))

    def apply(self, confidence: FloatArray) -> FloatArray:
        """Return calibrated confidences, of the shape given, in (0, 1)."""
        odds = self.slope * _log_odds(confidence) + self.offset
        return np.asarray(1 / (1 + np.exp(-odds)), np.float32)


def _log_odds(confidence: FloatArray) -> FloatArray:
    clipped = np.clip(confidence, _CLIP, 1 - _CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float32)
