"""What the temporal model learns from: windows of sequences, disturbed. No Ray.

Shapes: N sequences, W windows, S samples of each, J = 7 joints, A actions.
"""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from poseact.datasets.sequences import ActionSequence, ActionSequences
from poseact.geometry import FloatArray
from poseact.models.action import ActionClassifier, TemporalShape
from poseact.models.features import mirror
from poseact.models.temporal import has_body, in_body_scales, resample
from poseact.skeleton import NUM_JOINTS

LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-2
WARM_UP = 0.1
"""Share of the run in which the learning rate rises; then it falls to 0 along a cosine."""

LABEL_SMOOTHING = 0.1

MAX_CUT = 0.1
"""Largest share of a whole sequence that is cut off at either end: nobody starts on the beat."""

MAX_WARP = 0.15
"""Largest shift of the middle of a whole sequence against its ends, in lengths of the sequence;
above 1 / (2 pi), time could run backwards."""

MAX_LOG_SPEED = 0.2
"""Largest change of speed of a window of real time."""

MAX_TILT_DEG = 8.0
MAX_LOG_ASPECT = 0.15
"""Largest turn and stretch of a person in the picture: cameras hang askew, crops are squashed."""

MAX_NOISE = 0.06
"""Largest standard deviation, in body scales, of a joint's lasting error; that of its trembling is
half as large. On UTD-MHAD's training people, each left out once, 0.03 is as good."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SequenceRecipe:
    """Everything that decides what a training run yields, given its sequences."""

    epochs: int = 60
    batch_size: int = 32
    seed: int = 0

    window_s: float = 1.0
    """Length of the windows."""

    is_whole: bool = False
    """Every sequence, short or long, is one window in training; ``window_s`` is then for
    recordings, in which nobody says where a sequence starts."""

    samples: int = 32
    """Samples of a window."""

    causal: bool = False
    """Windows end at their frame instead of having it in the middle."""

    mirror: bool = False
    """Mirror half of the windows and exchange left and right; wrong if a class names a side."""

    label_smoothing: float = LABEL_SMOOTHING

    @property
    def shape(self) -> TemporalShape:
        """The network to train."""
        return TemporalShape(window_s=self.window_s, samples=self.samples, causal=self.causal)

    def new_optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def learning_rate(self, epoch: int, share: float) -> float:
        """Return the learning rate of a step: it rises for a while, then falls along a cosine."""
        progress = (epoch + share) / self.epochs
        fall = (progress - WARM_UP) / (1 - WARM_UP)
        height = progress / WARM_UP if fall < 0 else 0.5 * (1 + math.cos(math.pi * fall))
        return LEARNING_RATE * height

    def batches(
        self, data: ActionSequences, rng: np.random.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield freshly drawn windows (B, S, 7, 3) and their labels (B,)."""
        drawn = [draw_windows(one, self, rng) for one in data]
        labels_W = np.repeat(data.labels_N, [len(windows) for windows in drawn])
        order_W = rng.permutation(len(labels_W))
        labels_W = labels_W[order_W]
        windows_WSJ3 = augment_windows(np.concatenate(drawn)[order_W], rng, self)
        # batches of nearly equal size: one of a single window has no variance to normalise by
        num_batches = math.ceil(len(order_W) / self.batch_size)
        for rows in np.array_split(np.arange(len(order_W)), num_batches):
            yield torch.from_numpy(windows_WSJ3[rows]), torch.from_numpy(labels_W[rows])

    def answers(
        self, classifier: ActionClassifier, data: ActionSequences
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """Return label and scores of each sequence; of windows of real time, of each frame."""
        if self.is_whole:
            windows_NSJ3 = whole_windows(data, self.samples)
            return data.labels_N, classifier.score_seen(windows_NSJ3, has_body(windows_NSJ3))
        scores = [classifier.score(one.joints_TJ3, one.pts_s_T) for one in data]
        return np.repeat(data.labels_N, [len(each) for each in scores]), np.concatenate(scores)


def whole_windows(data: ActionSequences, samples: int) -> FloatArray:
    """Return every sequence, whatever its length, as one window, (N, S, 7, 3)."""
    return np.stack([_stretch(one, np.linspace(0, 1, samples)) for one in data])


def draw_windows(
    sequence: ActionSequence, recipe: SequenceRecipe, rng: np.random.Generator
) -> FloatArray:
    """Cut windows out of a sequence at random.

    Args:
        sequence: Where from.
        recipe: Says how long and how finely sampled they are.
        rng: Source of all chance.

    Returns:
        Windows, (W, S, 7, 3): one of the whole sequence, its ends cut and its middle shifted a
        little; or of real time, at a slightly other speed, as many as fit in one after another.
    """
    if recipe.is_whole:
        return _stretch(sequence, _warped_way(recipe.samples, rng))[None]
    start_s, end_s = sequence.pts_s_T[[0, -1]]
    shape = (max(1, round((end_s - start_s) / recipe.window_s)), 1)
    length_s_W1 = recipe.window_s * np.exp(rng.uniform(-MAX_LOG_SPEED, MAX_LOG_SPEED, shape))
    offsets_S = np.linspace(0, 1, recipe.samples) - (1.0 if recipe.causal else 0.5)
    times_s_WS = rng.uniform(start_s, end_s, shape) + length_s_W1 * offsets_S
    windows_QJ3 = resample(sequence.joints_TJ3, sequence.pts_s_T, times_s_WS.ravel())
    return windows_QJ3.reshape(*times_s_WS.shape, NUM_JOINTS, 3)


def augment_windows(
    windows_WSJ3: FloatArray, rng: np.random.Generator, recipe: SequenceRecipe
) -> FloatArray:
    """Disturb windows as people, cameras and pose models do.

    Args:
        windows_WSJ3: Windows, any unit.
        rng: Source of all chance.
        recipe: Says whether half of them are mirrored.

    Returns:
        New windows in body scales about the middle of the shoulders, turned and stretched a little
        in the picture, each joint with an error that lasts and one that trembles.
    """
    count = len(windows_WSJ3)
    xy_WSJ2 = in_body_scales(torch.from_numpy(windows_WSJ3[..., :2])).numpy()
    disturbed_WSJ3 = np.concatenate([xy_WSJ2, windows_WSJ3[..., 2:]], axis=3)
    if recipe.mirror:
        is_mirrored_W = rng.integers(2, size=count).astype(bool)
        disturbed_WSJ3[is_mirrored_W] = mirror(disturbed_WSJ3[is_mirrored_W])
    xy_WSJ2 = np.einsum("wxy,wsjy->wsjx", _distortions(count, rng), disturbed_WSJ3[..., :2])
    level_W111 = rng.uniform(0, MAX_NOISE, (count, 1, 1, 1))
    lasting_W1J2 = rng.normal(size=(count, 1, NUM_JOINTS, 2))
    trembling_WSJ2 = rng.normal(scale=0.5, size=xy_WSJ2.shape)
    disturbed_WSJ3[..., :2] = xy_WSJ2 + level_W111 * (lasting_W1J2 + trembling_WSJ2)
    return disturbed_WSJ3


def _distortions(count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw turns followed by stretches along x, (W, 2, 2)."""
    tilt_W = np.deg2rad(rng.uniform(-MAX_TILT_DEG, MAX_TILT_DEG, count))
    cos_W, sin_W = np.cos(tilt_W), np.sin(tilt_W)
    turns_W22 = np.stack([cos_W, -sin_W, sin_W, cos_W], axis=1).reshape(-1, 2, 2)
    turns_W22[:, 0] *= np.exp(rng.uniform(-MAX_LOG_ASPECT, MAX_LOG_ASPECT, (count, 1)))
    return turns_W22


def _warped_way(samples: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw when to look at a sequence, in lengths of it, increasing, (S,)."""
    way_S = np.linspace(0, 1, samples)
    shift, sway = rng.uniform(-MAX_WARP, MAX_WARP, 2)
    way_S += shift * np.sin(np.pi * way_S) + sway / 2 * np.sin(2 * np.pi * way_S)
    first, last = rng.uniform(0, MAX_CUT), 1 - rng.uniform(0, MAX_CUT)
    return first + (last - first) * way_S


def _stretch(sequence: ActionSequence, way_S: npt.NDArray[np.float64]) -> FloatArray:
    start_s, end_s = sequence.pts_s_T[[0, -1]]
    times_s_S = start_s + (end_s - start_s) * way_S
    return resample(sequence.joints_TJ3, sequence.pts_s_T, times_s_S)
