"""The action model: a small network over the joint distances of one person in one frame.

Shapes: B poses, J = 7 joints, F = 21 distances, A actions.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from poseact.errors import BundleError
from poseact.geometry import FloatArray
from poseact.models.bundle import Bundle, read_bundle
from poseact.models.features import NUM_DISTANCES, distances

KIND = "action"
ARCHITECTURE = "distances-mlp"
HIDDEN_UNITS = 128
OTHER_CLASS = "other"
"""The class of everything that is none of the named actions; every model has it."""

_NOT_SEEN = -1.0  # stands for a missing distance: no real one is negative


class ActionNet(nn.Module):
    """Two hidden layers over the 21 distances."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(NUM_DISTANCES, HIDDEN_UNITS),
            nn.ReLU(),
            nn.Linear(HIDDEN_UNITS, HIDDEN_UNITS),
            nn.ReLU(),
            nn.Linear(HIDDEN_UNITS, num_classes),
        )

    def forward(self, distances_BF: Tensor) -> Tensor:
        """Return logits (B, A) for distances (B, 21) in body scales; NaN is "not seen"."""
        logits_BA: Tensor = self.layers(distances_BF.nan_to_num(nan=_NOT_SEEN))
        return logits_BA


class ActionClassifier:
    """Scores the actions of single poses."""

    def __init__(self, net: ActionNet, classes: tuple[str, ...], model_id: str) -> None:
        self.classes = classes
        self.model_id = model_id
        self._net = net.eval()

    def predict(self, joints_BJK: FloatArray) -> FloatArray:
        """Score every action for every person.

        Args:
            joints_BJK: x, y and any further columns (a confidence is not used), (B, 7, K), in any
                unit, y down; NaN where a joint is not seen.

        Returns:
            Probabilities, (B, A), float32, columns as in ``classes``. Wrists and elbows may be
            missing; without both shoulders and the head nothing can be told, which is
            probability 1 for ``other``.
        """
        distances_BF = distances(np.asarray(joints_BJK, np.float32)[..., :2])
        with torch.inference_mode():
            scores_BA = self._net(torch.from_numpy(distances_BF)).softmax(dim=1).numpy()
        is_other_A = np.array([name == OTHER_CLASS for name in self.classes])
        is_unknown_B1 = np.isnan(distances_BF).all(axis=1, keepdims=True)
        return np.where(is_unknown_B1, is_other_A, scores_BA).astype(np.float32)


def load_action(bundle: Path | str | None = None) -> ActionClassifier:
    """Load an action model.

    Args:
        bundle: Folder written by ``poseact train-action``; None takes the shipped one.

    Returns:
        The classifier, on the CPU, where a batch of this size is fastest.

    Raises:
        BundleError: If the bundle is damaged or of another kind or architecture.
    """
    return classifier_from_bundle(read_bundle(bundle, KIND))


def classifier_from_bundle(bundle: Bundle) -> ActionClassifier:
    """Build the classifier of a bundle already read; BundleError as ``load_action``."""
    classes = tuple(bundle.manifest.get("classes", ()))
    if bundle.manifest.get("architecture") != ARCHITECTURE or OTHER_CLASS not in classes:
        raise BundleError(
            f"{bundle.path}: is {bundle.manifest.get('architecture')!r} with classes {classes}, "
            f"expected {ARCHITECTURE!r} with a class {OTHER_CLASS!r}. Train it with this version."
        )
    net = ActionNet(len(classes))
    try:
        net.load_state_dict(dict(bundle.tensors))
    except RuntimeError as error:
        raise BundleError(f"{bundle.path}: weights do not fit {ARCHITECTURE!r}: {error}") from error
    return ActionClassifier(net, classes, bundle.model_id)
