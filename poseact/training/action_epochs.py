"""One way to fit any action model, whatever it learns from. No Ray.

Shapes: B examples of a batch, M answers, A actions.
"""

from collections.abc import Iterator
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from poseact.datasets.labels import Labelled
from poseact.geometry import FloatArray
from poseact.models.action import ActionClassifier, ActionShape

LabelledT = TypeVar("LabelledT", bound=Labelled)
LabelledT_contra = TypeVar("LabelledT_contra", bound=Labelled, contravariant=True)


class ActionRecipe(Protocol[LabelledT_contra]):
    """Everything that decides what a training run yields, given its examples."""

    @property
    def epochs(self) -> int:
        """Passes over the examples."""

    @property
    def batch_size(self) -> int:
        """Examples per step."""

    @property
    def seed(self) -> int:
        """Seed of weights, order and augmentation."""

    @property
    def label_smoothing(self) -> float:
        """Share of each label that is spread over all classes."""

    @property
    def shape(self) -> ActionShape:
        """The network to train."""

    def new_optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        """Return the optimizer; ``train_epoch`` sets its learning rate."""

    def learning_rate(self, epoch: int, share: float) -> float:
        """Return the learning rate after a share of an epoch."""

    def batches(
        self, data: LabelledT_contra, rng: np.random.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what the network sees and its labels: all examples once, freshly disturbed."""

    def answers(
        self, classifier: ActionClassifier, data: LabelledT_contra
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """Return labels (M,) and probabilities (M, A): one row per answer to be measured."""


def fit(data: LabelledT, recipe: ActionRecipe[LabelledT]) -> nn.Module:
    """Train a network in this process."""
    net = new_net(recipe, len(data.classes))
    optimizer = recipe.new_optimizer(net)
    for epoch in range(recipe.epochs):
        train_epoch(net, optimizer, data, recipe, epoch)
    return net.eval()


def new_net(recipe: ActionRecipe[LabelledT], num_classes: int) -> nn.Module:
    """Return an untrained network; the caller's random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return recipe.shape.new_net(num_classes)


def train_epoch(  # noqa: PLR0913 - one call per epoch, and all of it is what an epoch needs
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: LabelledT,
    recipe: ActionRecipe[LabelledT],
    epoch: int,
    *,
    rank: int = 0,
) -> float:
    """Show the network every example once.

    Args:
        net: The network, or its data-parallel wrapper.
        optimizer: Of the recipe.
        data: This worker's examples.
        recipe: Settings of the run.
        epoch: Number of the epoch: fixes learning rate and chance, so a resumed run goes on as
            an unbroken one would.
        rank: Number of the worker; each draws its own chance.

    Returns:
        Mean loss.
    """
    rng = np.random.default_rng([recipe.seed, epoch, rank])
    batches = list(recipe.batches(data, rng))
    loss_function = nn.CrossEntropyLoss(
        weight=_class_weights(data), label_smoothing=recipe.label_smoothing
    )
    losses = []
    net.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))  # what drops out must not depend on the past
        for step, (seen, labels_B) in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate(epoch, step / len(batches))
            loss = loss_function(net(seen), labels_B)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return float(np.mean(losses))


def _class_weights(data: Labelled) -> Tensor:
    """Weigh classes equally, (A,); by 0 without examples, or label smoothing would favour them."""
    counts_A = np.bincount(data.labels_N, minlength=len(data.classes))
    shares_A = counts_A * np.count_nonzero(counts_A) / len(data)
    weights_A = np.divide(1, shares_A, out=np.zeros_like(shares_A), where=counts_A > 0)
    return torch.from_numpy(weights_A).float()
