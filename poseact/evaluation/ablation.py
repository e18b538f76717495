"""What features and mirroring are worth: the seed's comparison, trained anew from several seeds.

Shapes: N poses, J = 7 joints, K columns: x, y and any further ones.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias, get_args

import numpy as np

from poseact.datasets.actions import HELLO, TEST_PICTURES, ActionPoses, with_confidence
from poseact.datasets.arms import draw_hello
from poseact.datasets.pose_crops import in_any_crops, in_own_crops
from poseact.geometry import FloatArray
from poseact.models.action import ActionClassifier
from poseact.models.features import mirror
from poseact.training.action_config import Augment, Features
from poseact.training.action_epochs import fit
from poseact.training.action_steps import Bodies, Recipe, held_out_poses, training_poses

Variant: TypeAlias = tuple[Features, Augment]

VARIANTS: Final[Sequence[Variant]] = tuple(itertools.product(get_args(Features), get_args(Augment)))

EPOCHS = 8
"""A fifth of those of ``train-action``: enough to tell the rows apart."""

BATCH_SIZE = 256

NOISE = 0.1
"""Standard deviation of a joint's error in the noisy conditions, body scales."""

SCALES: Final = ("same", "any")
JOINTS: Final = ("true", "noisy")

PROTOCOL = (
    f"trained {EPOCHS} epochs on people of FLIC with generated arms, Hello with the right hand "
    "only; measured on people of other films. same: in the middle of the crop and as large as in "
    "training; any: half to twice as large, anywhere in the crop. Hello recall with the right "
    f"hand, and of the mirror images with the left. noisy: joints off by {NOISE:g} body scales "
    "(standard deviation). Pictures: the two of the seed's table that are for testing, joints "
    "labelled and as the shipped pose bundle finds them: seeds that have both right."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: a way to train, measured over the seeds."""

    features: Features
    augment: Augment
    figures: dict[str, list[float]]
    """Of each seed: shares in [0, 1], and the largest gap between a pose and its mirror image."""

    def mean(self, name: str) -> float:
        """Return the mean of a figure over the seeds."""
        return float(np.mean(self.figures[name]))

    def as_json(self) -> dict[str, Any]:
        """Return plain values: of each figure the mean, the least and the greatest."""
        summary = {
            name: {"mean": float(np.mean(of)), "min": min(of), "max": max(of)}
            for name, of in self.figures.items()
        }
        return {"features": self.features, "augment": self.augment, "figures": summary}


def ablate(
    bodies: Bodies,
    estimated: ActionPoses,
    *,
    num_seeds: int,
    variants: Sequence[Variant] = VARIANTS,
) -> list[Row]:
    """Train and measure every variant from every seed.

    Args:
        bodies: People to act, and the pictures.
        estimated: The pictures with estimated joints.
        num_seeds: Seeds, counted from 0; each draws arms, weights, order and augmentation anew,
            the arms for all variants alike.
        variants: Features and augmentation of each row.
    """
    measured: dict[Variant, list[dict[str, float]]] = {variant: [] for variant in variants}
    for seed in range(num_seeds):
        poses = training_poses(bodies, seed)
        trials = _Trials.draw(bodies, estimated, seed)
        for variant, of_seeds in measured.items():
            of_seeds.append(trials.measure(_train(poses, variant, seed)))
    return [
        Row(
            features=features,
            augment=augment,
            figures={name: [figures[name] for figures in of_seeds] for name in of_seeds[0]},
        )
        for (features, augment), of_seeds in measured.items()
    ]


def format_table(rows: Iterable[Row], num_seeds: int) -> str:
    """Return the rows as text, shares in percent."""
    conditions = list(itertools.product(JOINTS, SCALES))
    blocks = [f"{f'{joints}, {scale} scale':>24}" for joints, scale in conditions]
    lines = [
        f"{'joints, scale':<23}" + "".join(blocks) + f"{'pictures':>12}{'mirror':>9}",
        f"{'features, augment':<23}"
        + f"{'all':>8}{'right':>8}{'left':>8}" * len(conditions)
        + f"{'true':>6}{'est.':>6}{'gap':>9}",
    ]
    for row in rows:
        shares = [
            f"{100 * row.mean(f'{joints} {scale} {what}'):>8.1f}"
            for joints, scale in conditions
            for what in ("accuracy", "right", "left")
        ]
        right = [
            f"{round(num_seeds * row.mean(f'test pictures {how}')):>6}"
            for how in ("true", "estimated")
        ]
        gap = max(row.figures["mirror gap"])
        name = f"{row.features} {row.augment}"
        lines.append(f"{name:<23}" + "".join([*shares, *right]) + f"{gap:>9.2g}")
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Trials:
    """What every variant of one seed is measured on, in crops."""

    conditions: dict[str, ActionPoses]
    """Held-out people, all actions alike."""

    waving: dict[str, FloatArray]
    """Held-out people who say Hello with the right hand, (N, 7, 3)."""

    test_pictures: dict[str, ActionPoses]
    """The pictures for testing, with true and with estimated joints."""

    estimated: ActionPoses
    """All pictures with estimated joints."""

    @classmethod
    def draw(cls, bodies: Bodies, estimated: ActionPoses, seed: int) -> "_Trials":
        rng = np.random.default_rng(seed)
        poses = held_out_poses(bodies, seed)
        waving_NJ2 = draw_hello(bodies.held_out.joints_NJ3[..., :2], rng, "right")
        is_test_N = np.isin(estimated.groups_N, TEST_PICTURES)
        return cls(
            conditions={
                name: dataclasses.replace(poses, joints_NJ3=joints_NJ3)
                for name, joints_NJ3 in _spoil(poses.joints_NJ3, rng)
            },
            waving=dict(_spoil(with_confidence(waving_NJ2), rng)),
            test_pictures={
                "true": _in_crops(bodies.test_pictures),
                "estimated": _in_crops(estimated.take(is_test_N)),
            },
            estimated=_in_crops(estimated),
        )

    def measure(self, classifier: ActionClassifier) -> dict[str, float]:
        figures = {}
        for name, poses in self.conditions.items():
            figures[f"{name} accuracy"] = _accuracy(classifier, poses)
        for name, right_NJ3 in self.waving.items():
            scores_NA, mirrored_NA = map(classifier.predict, (right_NJ3, mirror(right_NJ3)))
            figures[f"{name} right"] = float(np.mean(scores_NA.argmax(axis=1) == HELLO))
            figures[f"{name} left"] = float(np.mean(mirrored_NA.argmax(axis=1) == HELLO))
            gap = float(np.abs(scores_NA - mirrored_NA).max())
            figures["mirror gap"] = max(figures.get("mirror gap", 0.0), gap)
        for name, poses in self.test_pictures.items():
            figures[f"test pictures {name}"] = float(_accuracy(classifier, poses) == 1)
        figures["all pictures estimated"] = _accuracy(classifier, self.estimated)
        return figures


def _train(poses: ActionPoses, variant: Variant, seed: int) -> ActionClassifier:
    features, augment = variant
    recipe = Recipe(
        features=features, augment=augment, epochs=EPOCHS, batch_size=BATCH_SIZE, seed=seed
    )
    return ActionClassifier(fit(poses, recipe), recipe.shape, poses.classes, "trained here")


def _spoil(joints_NJ3: FloatArray, rng: np.random.Generator) -> Iterator[tuple[str, FloatArray]]:
    noisy_NJ3 = add_noise(joints_NJ3, rng)
    for joints, spoilt_NJ3 in zip(JOINTS, (joints_NJ3, noisy_NJ3), strict=True):
        yield f"{joints} same", in_own_crops(spoilt_NJ3)
        yield f"{joints} any", in_any_crops(spoilt_NJ3, rng)


def add_noise(joints_NJ3: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return poses in body scales whose joints are off by ``NOISE``, (N, 7, 3)."""
    noisy_NJ3 = joints_NJ3.copy()
    noisy_NJ3[..., :2] += rng.normal(scale=NOISE, size=joints_NJ3[..., :2].shape)
    return noisy_NJ3


def _in_crops(poses: ActionPoses) -> ActionPoses:
    return dataclasses.replace(poses, joints_NJ3=in_own_crops(poses.joints_NJ3))


def _accuracy(classifier: ActionClassifier, poses: ActionPoses) -> float:
    return float(np.mean(classifier.predict(poses.joints_NJ3).argmax(axis=1) == poses.labels_N))
