"""What the action model learns from and how: poses, augmentation, one epoch. No Ray.

Shapes: N poses, J = 7 joints, F = 21 distances.
"""

import dataclasses
import math
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from poseact.datasets.action_sources import ActionSources
from poseact.datasets.actions import (
    ACTIONS,
    TEST_PICTURES,
    ActionPoses,
    act_out,
    concatenate,
    read_action_table,
    read_flic_bodies,
)
from poseact.datasets.gestures import Hand
from poseact.errors import ConfigError, InputError
from poseact.geometry import FloatArray
from poseact.models.action import ActionNet
from poseact.models.features import distances, mirror
from poseact.skeleton import HEAD, L_ELBOW, L_SHOULDER, NUM_JOINTS, R_ELBOW, R_SHOULDER
from poseact.training.action_config import Augment

LEARNING_RATE = 3e-3
LABEL_SMOOTHING = 0.02

MAX_NOISE = 0.06
"""Largest standard deviation of a joint's error, body scales (about a torso length): a pose model
with a PCK@0.2 of 90 % errs by about that much where it does not fail."""

MAX_LOG_ASPECT = 0.25
"""Largest stretch of a pose to one side: crops in the seed's pictures are squashed."""

UNSEEN_ELBOW_SHARE = 0.03

TRAINING_HANDS: Final[Sequence[Hand]] = ("right", "right", "right")
"""Every body acts three times, as in the seed's pictures with the right hand; mirroring makes the
left ones. From one round to three, both-hands-up taken for Hello fell from 10 to 5 %."""

_TRAINING, _TEST = range(2)  # keeps the chance of the two generated sets apart

_STEADY: Final = [L_SHOULDER, HEAD, R_SHOULDER]  # half as noisy as elbows and wrists


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a training run yields, given its poses."""

    augment: Augment
    epochs: int
    batch_size: int
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bodies:
    """People of FLIC, split by film, and the seed's pictures, split by name."""

    train: ActionPoses
    held_out: ActionPoses
    train_pictures: ActionPoses
    test_pictures: ActionPoses

    @property
    def held_out_films(self) -> list[str]:
        """Films that no training pose comes from."""
        return sorted(set(self.held_out.groups_N.tolist()))


def read_bodies(sources: ActionSources, held_out_films: Collection[str]) -> Bodies:
    """Read and split everything; InputError as the readers, or if a side has no bodies."""
    people = read_flic_bodies(sources.flic_folder)
    pictures = read_action_table(sources.actions_folder)
    is_held_out_N = np.isin(people.groups_N, list(held_out_films))
    is_test_N = np.isin(pictures.groups_N, TEST_PICTURES)
    if not is_held_out_N.any() or is_held_out_N.all():
        raise InputError(
            f"{sources.flic_folder}: {is_held_out_N.sum()} of {len(people)} people are in the "
            f"held-out films ({', '.join(held_out_films)}); both sides of the split need some."
        )
    return Bodies(
        train=people.take(~is_held_out_N),
        held_out=people.take(is_held_out_N),
        train_pictures=pictures.take(~is_test_N),
        test_pictures=pictures.take(is_test_N),
    )


def choose_films(sources: ActionSources, count: int, seed: int) -> list[str]:
    """Draw the films to hold out; ConfigError if none would be left to learn from."""
    films = sorted(set(read_flic_bodies(sources.flic_folder).groups_N.tolist()))
    if count >= len(films):
        raise ConfigError(
            f"held_out_films must be below the {len(films)} films of {sources.flic_folder}, "
            f"got {count}"
        )
    return sorted(np.random.default_rng(seed).permutation(films)[:count].tolist())


def training_poses(bodies: Bodies, seed: int) -> ActionPoses:
    """Act out the training bodies, Hello with the right hand only, and add the seed's pictures."""
    rng = np.random.default_rng([seed, _TRAINING])
    acted = act_out(bodies.train, rng, hands=TRAINING_HANDS)
    return concatenate([acted, bodies.train_pictures])


def held_out_poses(bodies: Bodies, seed: int) -> ActionPoses:
    """Act out the held-out bodies, Hello once with either hand; the actions are balanced."""
    return act_out(bodies.held_out, np.random.default_rng([seed, _TEST]), hands=("left", "right"))


def fit(poses: ActionPoses, recipe: Recipe) -> ActionNet:
    """Train a network in this process."""
    net = new_net(recipe.seed)
    optimizer = new_optimizer(net)
    for epoch in range(recipe.epochs):
        train_epoch(net, optimizer, poses, recipe, epoch)
    return net


def new_net(seed: int) -> ActionNet:
    """Return an untrained network; the caller's random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ActionNet(len(ACTIONS))


def new_optimizer(net: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer; ``train_epoch`` sets its learning rate."""
    return torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=1e-3)


def train_epoch(  # noqa: PLR0913 - one call per epoch, and all of it is what an epoch needs
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    poses: ActionPoses,
    recipe: Recipe,
    epoch: int,
    *,
    rank: int = 0,
) -> float:
    """Show the network every pose once, freshly augmented.

    Args:
        net: The network, or its data-parallel wrapper.
        optimizer: From ``new_optimizer``.
        poses: This worker's poses.
        recipe: Settings of the run.
        epoch: Number of the epoch: fixes learning rate and chance, so a resumed run goes on as
            an unbroken one would.
        rank: Number of the worker; each draws its own chance.

    Returns:
        Mean loss.
    """
    progress = epoch / recipe.epochs
    for group in optimizer.param_groups:
        group["lr"] = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * progress))
    loss_function = nn.CrossEntropyLoss(
        weight=_class_weights(poses), label_smoothing=LABEL_SMOOTHING
    )
    rng = np.random.default_rng([recipe.seed, epoch, rank])
    losses = []
    net.train()
    for distances_BF, labels_B in _batches(poses, recipe, rng):
        loss = loss_function(net(distances_BF), labels_B)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def augment(joints_NJ2: FloatArray, rng: np.random.Generator, mode: Augment) -> FloatArray:
    """Disturb poses as cameras and pose models do.

    Args:
        joints_NJ2: Poses in body scales around the middle of the shoulders, (N, 7, 2).
        rng: Source of all chance.
        mode: ``flip`` mirrors half of the poses, ``flip-swap`` also exchanges their left and
            right labels.

    Returns:
        New poses, (N, 7, 2), some elbows NaN. Turning and scaling are left out: no distance in
        body scales would change.
    """
    count = len(joints_NJ2)
    disturbed_NJ2 = joints_NJ2.copy()
    if mode != "none":
        is_mirrored_N = rng.integers(2, size=count).astype(bool)
        disturbed_NJ2[is_mirrored_N] = mirror(
            joints_NJ2[is_mirrored_N], swap_labels=mode == "flip-swap"
        )
    disturbed_NJ2[..., 0] *= np.exp(rng.uniform(-MAX_LOG_ASPECT, MAX_LOG_ASPECT, (count, 1)))
    noise_NJ2 = rng.normal(size=disturbed_NJ2.shape) * rng.uniform(0, MAX_NOISE, (count, 1, 1))
    noise_NJ2[:, _STEADY] *= 0.5
    disturbed_NJ2 += noise_NJ2
    is_unseen_NJ = np.zeros((count, NUM_JOINTS), bool)
    is_unseen_NJ[:, [L_ELBOW, R_ELBOW]] = rng.random((count, 2)) < UNSEEN_ELBOW_SHARE
    disturbed_NJ2[is_unseen_NJ] = np.nan
    return disturbed_NJ2


def _batches(
    poses: ActionPoses, recipe: Recipe, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    shuffled = poses.take(rng.permutation(len(poses)))
    distances_NF = distances(augment(shuffled.joints_NJ2, rng, recipe.augment))
    for start in range(0, len(poses), recipe.batch_size):
        chosen = slice(start, start + recipe.batch_size)
        yield torch.from_numpy(distances_NF[chosen]), torch.from_numpy(shuffled.labels_N[chosen])


def _class_weights(poses: ActionPoses) -> Tensor:
    counts_A = np.bincount(poses.labels_N, minlength=len(ACTIONS))
    return torch.from_numpy(len(poses) / (len(ACTIONS) * np.maximum(counts_A, 1))).float()
