"""The action model: a small network over what one person's joints show, still or moving.

Shapes: B poses, T frames of one person, S samples of a window, J = 7 joints (x, y, confidence),
F features, V views of a pose (itself and, in mirror-exact models, its mirror image), A actions.
"""

import dataclasses
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from poseact.errors import BundleError
from poseact.foreign import shown
from poseact.geometry import FloatArray
from poseact.models.backbone import MAX_CHANNELS, require_within
from poseact.models.bundle import Bundle, read_bundle
from poseact.models.features import FEATURES, is_measurable, mirror
from poseact.models.temporal import TemporalNet, has_body, windows
from poseact.models.trust import from_json, manifest_as, trained_net
from poseact.timeline.decide import OTHER

KIND = "action"

POSES_PER_CALL: Final = 4096
"""Poses, or windows, that go through a network at once; bounds its memory."""

MIN_SAMPLES: Final = 16
MAX_SAMPLES: Final = 1024
MAX_WINDOW_S: Final = 3600.0
"""The network needs the least; the others bound what a foreign bundle makes us compute."""

_NOT_SEEN = -1.0  # stands for what is unknown: no distance is negative, no direction is (-1, -1)

Mask: TypeAlias = npt.NDArray[np.bool_]


class FrameNet(nn.Module):
    """Two hidden layers over the features of a pose."""

    def __init__(self, num_features: int, num_classes: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(num_features, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, views_BVF: Tensor) -> Tensor:
        """Return logits (B, A), the mean over the views; NaN is "not seen".

        The views go through the layers in calls of equal shape, so that one view yields the same
        bits whichever place it has among them.
        """
        logits = [self.layers(view_BF.nan_to_num(nan=_NOT_SEEN)) for view_BF in views_BVF.unbind(1)]
        return torch.stack(logits).mean(dim=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameShape:
    """A model that tells what people do from single poses."""

    kind: Literal["frame"] = "frame"

    features: str = "distances"
    """What it sees of a pose: a key of ``FEATURES``."""

    mirror_exact: bool = False
    """Whether it sees the mirror image of every pose as well, so that a pose and its mirror image
    have the same scores to the last bit."""

    hidden: int = 128
    """Units of each hidden layer."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        if self.features not in FEATURES:
            raise ValueError(f"features must be one of {', '.join(FEATURES)}, got {self.features}")
        require_within("hidden", (self.hidden,), 1, MAX_CHANNELS)

    def new_net(self, num_classes: int) -> nn.Module:
        """Return an untrained network."""
        return FrameNet(FEATURES[self.features].size, num_classes, self.hidden)

    def see(self, joints_BJ3: FloatArray) -> tuple[FloatArray, Mask]:
        """Return the views of poses (B, V, F), NaN where unknown, and who can be told (B,)."""
        images = [joints_BJ3, mirror(joints_BJ3)] if self.mirror_exact else [joints_BJ3]
        views = [FEATURES[self.features].measure(image_BJ3) for image_BJ3 in images]
        return np.stack(views, axis=1), is_measurable(joints_BJ3)

    def follow(
        self,
        joints_TJ3: FloatArray,
        pts_s_T: npt.NDArray[np.float64],  # noqa: ARG002 - other models need it
    ) -> tuple[FloatArray, Mask]:
        """As ``see``, for one person through time."""
        return self.see(joints_TJ3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TemporalShape:
    """A model that tells what people do from how they move."""

    kind: Literal["temporal"] = "temporal"

    window_s: float = 1.0
    """Length of the stretch of time that it sees around each frame."""

    samples: int = 32
    """Times within the window at which it looks."""

    causal: bool = False
    """Whether the window ends at the frame, and does not reach beyond it."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        require_within("samples", (self.samples,), MIN_SAMPLES, MAX_SAMPLES)
        if not 0 < self.window_s <= MAX_WINDOW_S:
            raise ValueError(f"window_s must lie in 0..{MAX_WINDOW_S:g}, got {self.window_s}")

    def new_net(self, num_classes: int) -> nn.Module:
        """Return an untrained network."""
        return TemporalNet(num_classes)

    def see(self, joints_BJ3: FloatArray) -> tuple[FloatArray, Mask]:
        """Return windows (B, S, 7, 3) of people who keep still, and who can be told (B,)."""
        windows_BSJ3 = np.repeat(joints_BJ3[:, None], self.samples, axis=1)
        return windows_BSJ3, has_body(windows_BSJ3)

    def follow(
        self, joints_TJ3: FloatArray, pts_s_T: npt.NDArray[np.float64]
    ) -> tuple[FloatArray, Mask]:
        """Return the window of each frame, (T, S, 7, 3), and in which one can tell, (T,)."""
        windows_TSJ3 = windows(
            joints_TJ3,
            pts_s_T,
            window_s=self.window_s,
            samples=self.samples,
            causal=self.causal,
        )
        return windows_TSJ3, has_body(windows_TSJ3)


ActionShape: TypeAlias = FrameShape | TemporalShape
"""What decides a network but its weights and classes; in manifests the ``architecture``."""


class ActionClassifier:
    """Scores the actions of people, seen once or through time.

    Args:
        net: The trained network.
        shape: What it was made from.
        classes: Name of each score; one is ``OTHER``.
        model_id: What tables call it.
        temperature: What logits are divided by, so that scores come true as often as they say.
    """

    def __init__(
        self,
        net: nn.Module,
        shape: ActionShape,
        classes: tuple[str, ...],
        model_id: str,
        *,
        temperature: float = 1.0,
    ) -> None:
        self.classes = classes
        self.model_id = model_id
        self._net = net.eval()
        self._shape = shape
        self._temperature = temperature

    def score(self, joints_TJ3: FloatArray, pts_s_T: npt.NDArray[np.float64]) -> FloatArray:
        """Score every action of one person through time.

        Args:
            joints_TJ3: x, y in any unit, y down, and confidence, (T, 7, 3); x and y NaN where a
                joint is not seen.
            pts_s_T: Time of each frame, (T,), seconds, increasing.

        Returns:
            Probabilities as of ``predict``, (T, A).
        """
        return self.score_seen(*self._shape.follow(np.asarray(joints_TJ3, np.float32), pts_s_T))

    def predict(self, joints_BJ3: FloatArray) -> FloatArray:
        """Score every action of people who are seen once.

        Args:
            joints_BJ3: x, y in any unit, y down, and confidence, (B, 7, 3); x and y NaN where a
                joint is not seen.

        Returns:
            Probabilities, (B, A), float32, columns as in ``classes``. Wrists and elbows may be
            missing; without both shoulders and the head nothing can be told, which is
            probability 1 for ``other``.
        """
        return self.score_seen(*self._shape.see(np.asarray(joints_BJ3, np.float32)))

    def score_seen(self, seen: FloatArray, is_known_B: Mask) -> FloatArray:
        """Score what ``see`` or ``follow`` of the model's shape returned: (B, A) as ``predict``."""
        scores_BA = np.empty((len(seen), len(self.classes)), np.float32)
        with torch.inference_mode():
            for start in range(0, len(seen), POSES_PER_CALL):
                called = slice(start, start + POSES_PER_CALL)
                logits_BA = self._net(torch.from_numpy(seen[called])) / self._temperature
                scores_BA[called] = logits_BA.softmax(dim=1).numpy()
        scores_BA[~is_known_B] = [name == OTHER for name in self.classes]
        return scores_BA


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
    how = manifest_as(bundle, _Manifest)
    if OTHER not in how.classes:
        raise BundleError(
            f"{bundle.path}: has classes {shown(how.classes)} and none called {OTHER!r}, which "
            "everybody is to be who does none of the others. Train it with poseact train-action, "
            "which adds it."
        )
    shape = _read_shape(bundle)
    net = trained_net(bundle, lambda: shape.new_net(len(how.classes)))
    return ActionClassifier(net, shape, how.classes, bundle.model_id, temperature=how.temperature)


def _read_shape(bundle: Bundle) -> ActionShape:
    fields = bundle.manifest.get("architecture")
    where = f"{bundle.path}: architecture: "
    if isinstance(fields, dict) and fields.get("kind") == "temporal":
        return from_json(fields, TemporalShape, where)
    return from_json(fields, FrameShape, where)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Manifest:
    """What an action model's manifest must say besides its architecture."""

    classes: tuple[str, ...]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if len(set(self.classes)) < len(self.classes) or not all(map(_is_name, self.classes)):
            raise ValueError(f"classes must be different names, got {shown(self.classes)}")
        if not 0.01 <= self.temperature <= 100:  # noqa: PLR2004 - beyond, scores are 0 or 1, or equal
            raise ValueError(f"temperature must lie in 0.01..100, got {self.temperature}")


def _is_name(text: str) -> bool:
    return bool(text) and text.isprintable()
