"""How the temporal model learns: windows of sequences, augmentation, one epoch. No Ray.

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
from poseact.models.features import mirror
from poseact.models.temporal import TemporalNet, in_body_scales, resample
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

    window_s: float | None = 1.0
    """Length of the windows; None resamples every sequence, short or long, to one window."""

    samples: int = 32
    """Samples of a window."""

    causal: bool = False
    """Windows end at their frame instead of having it in the middle."""

    mirror: bool = False
    """Mirror half of the windows and exchange left and right; wrong if a class names a side."""


def fit_sequences(data: ActionSequences, recipe: SequenceRecipe) -> TemporalNet:
    """Train a network in this process."""
    net = new_temporal_net(len(data.classes), recipe.seed)
    optimizer = new_sequence_optimizer(net)
    for epoch in range(recipe.epochs):
        train_sequence_epoch(net, optimizer, data, recipe, epoch)
    return net.eval()


def new_temporal_net(num_classes: int, seed: int) -> TemporalNet:
    """Return an untrained network; the caller's random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TemporalNet(num_classes)


def new_sequence_optimizer(net: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer; ``train_sequence_epoch`` sets its learning rate."""
    return torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)


def train_sequence_epoch(  # noqa: PLR0913 - one call per epoch, and all of it is what an epoch needs
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: ActionSequences,
    recipe: SequenceRecipe,
    epoch: int,
    *,
    rank: int = 0,
) -> float:
    """Show the network freshly drawn windows of every sequence.

    Args:
        net: The network, or its data-parallel wrapper.
        optimizer: From ``new_sequence_optimizer``.
        data: This worker's sequences.
        recipe: Settings of the run.
        epoch: Number of the epoch: fixes learning rate and chance, so a resumed run goes on as
            an unbroken one would.
        rank: Number of the worker; each draws its own chance.

    Returns:
        Mean loss.
    """
    rng = np.random.default_rng([recipe.seed, epoch, rank])
    batches = list(_batches(data, recipe, rng))
    loss_function = nn.CrossEntropyLoss(
        weight=_class_weights(data), label_smoothing=LABEL_SMOOTHING
    )
    losses = []
    net.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))  # what drops out must not depend on the past
        for step, (windows_BSJ3, labels_B) in enumerate(batches):
            _set_learning_rate(optimizer, (epoch + step / len(batches)) / recipe.epochs)
            loss = loss_function(net(windows_BSJ3), labels_B)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return float(np.mean(losses))


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
    if recipe.window_s is None:
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


def _set_learning_rate(optimizer: torch.optim.Optimizer, progress: float) -> None:
    fall = (progress - WARM_UP) / (1 - WARM_UP)
    share = progress / WARM_UP if fall < 0 else 0.5 * (1 + math.cos(math.pi * fall))
    for group in optimizer.param_groups:
        group["lr"] = LEARNING_RATE * share


def _batches(
    data: ActionSequences, recipe: SequenceRecipe, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    drawn = [draw_windows(one, recipe, rng) for one in data]
    labels_W = np.repeat(data.labels_N, [len(windows) for windows in drawn])
    order_W = rng.permutation(len(labels_W))
    labels_W = labels_W[order_W]
    windows_WSJ3 = augment_windows(np.concatenate(drawn)[order_W], rng, recipe)
    # batches of nearly equal size: one of a single window has no variance to normalise by
    for rows in np.array_split(
        np.arange(len(order_W)), math.ceil(len(order_W) / recipe.batch_size)
    ):
        yield torch.from_numpy(windows_WSJ3[rows]), torch.from_numpy(labels_W[rows])


def _class_weights(data: ActionSequences) -> Tensor:
    """Weigh classes equally, (A,); by 0 without sequences, or label smoothing would favour them."""
    counts_A = np.bincount(data.labels_N, minlength=len(data.classes))
    shares_A = counts_A * np.count_nonzero(counts_A) / len(data)
    weights_A = np.divide(1, shares_A, out=np.zeros_like(shares_A), where=counts_A > 0)
    return torch.from_numpy(weights_A).float()
