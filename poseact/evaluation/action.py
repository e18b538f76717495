"""Measure the action model: `poseact evaluate-action`."""

import json
from typing import Any, Final

import numpy as np
import torch

from poseact.datasets.actions import ACTIONS, HELLO, ActionPoses
from poseact.datasets.arms import draw_hello
from poseact.errors import BundleError, OutputError
from poseact.evaluation.action_config import EvaluateActionConfig
from poseact.evaluation.action_metrics import ActionFigures, measure_actions
from poseact.models.action import KIND, ActionClassifier, classifier_from_bundle
from poseact.models.bundle import read_bundle
from poseact.training.action_config import Augment
from poseact.training.action_steps import (
    Bodies,
    Recipe,
    fit,
    held_out_poses,
    read_bodies,
    training_poses,
)

COMPARED: Final[tuple[Augment, ...]] = ("none", "flip", "flip-swap")

COMPARED_EPOCHS = 16
COMPARED_BATCH_SIZE = 256

LEFT_HAND_PROTOCOL = (
    "right- and left-hand Hello generated on every held-out body, equally many; trained on "
    "right-hand Hello only"
)


def evaluate_action(config: EvaluateActionConfig) -> int:
    """Print the figures of a bundle, and what mirroring is worth.

    The films held out are those that the bundle's manifest names. Beside the bundle, networks are
    trained here without mirroring, with a flip, and with a flip that swaps left and right.

    Args:
        config: Settings.

    Returns:
        Exit code 0.

    Raises:
        BundleError: If the bundle cannot be used.
        InputError: If the data cannot be read.
        OutputError: If the JSON file cannot be written.
    """
    torch.set_num_threads(1)  # of a few kiloflops per pose, more threads only wait for each other
    bundle = read_bundle(config.bundle, KIND)
    classifier = classifier_from_bundle(bundle)
    if classifier.classes != ACTIONS or "held_out_films" not in bundle.manifest:
        raise BundleError(
            f"{bundle.path}: classes {classifier.classes}, expected {ACTIONS}, and a list of "
            "held_out_films in the manifest. Train it with this version."
        )
    bodies = read_bodies(config, bundle.manifest["held_out_films"])
    report = {
        "model_id": classifier.model_id,
        "seed": config.seed,
        "held_out_films": bodies.held_out_films,
        **_measure_bundle(classifier, bodies, config.seed),
        "hello_by_hand": _measure_hands(classifier, bodies, config.seed),
    }
    _print_report(report)
    _write_json(config, report)
    return 0


def _measure_bundle(
    classifier: ActionClassifier, bodies: Bodies, seed: int
) -> dict[str, dict[str, Any]]:
    return {
        "held_out": measure_classifier(classifier, held_out_poses(bodies, seed)).as_json(),
        "test_pictures": measure_classifier(classifier, bodies.test_pictures).as_json(),
    }


def measure_classifier(classifier: ActionClassifier, poses: ActionPoses) -> ActionFigures:
    """Return the figures of a classifier on labelled poses."""
    return measure_actions(poses.labels_N, classifier.predict(poses.joints_NJ2))


def _measure_hands(
    classifier: ActionClassifier, bodies: Bodies, seed: int
) -> dict[str, dict[str, float]]:
    poses = training_poses(bodies, seed)
    rows = {"bundle": _hello_recalls(classifier, bodies.held_out, seed)}
    for augment in COMPARED:
        recipe = Recipe(
            augment=augment, epochs=COMPARED_EPOCHS, batch_size=COMPARED_BATCH_SIZE, seed=seed
        )
        trained = ActionClassifier(fit(poses, recipe), ACTIONS, augment)
        rows[augment] = _hello_recalls(trained, bodies.held_out, seed)
    return rows


def _hello_recalls(
    classifier: ActionClassifier, bodies: ActionPoses, seed: int
) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    waving = {
        "left": draw_hello(bodies.joints_NJ2, rng, "left"),
        "right": draw_hello(bodies.joints_NJ2, rng, "right"),
    }
    return {
        hand: float(np.mean(classifier.predict(poses_NJ2).argmax(axis=1) == HELLO))
        for hand, poses_NJ2 in waving.items()
    }


def _print_report(report: dict[str, Any]) -> None:
    print(f"action model {report['model_id']}, seed {report['seed']}")
    films = report["held_out_films"]
    _print_figures(f"generated arms and own poses, {len(films)} unseen films", report["held_out"])
    _print_figures("the test pictures, labelled joints", report["test_pictures"])
    print(f"\nHello recall by hand, % ({LEFT_HAND_PROTOCOL})")
    print(f"{'':<28}{'left':>8}{'right':>8}")
    for name, recalls in report["hello_by_hand"].items():
        title = report["model_id"] if name == "bundle" else f"trained now, augment {name}"
        print(f"{title:<28}{100 * recalls['left']:>8.1f}{100 * recalls['right']:>8.1f}")


def _print_figures(title: str, figures: dict[str, Any]) -> None:
    print(f"\n{title}: {figures['num_poses']} poses")
    print(f"accuracy {100 * figures['accuracy']:.1f} %, macro-F1 {100 * figures['macro_f1']:.1f} %")
    columns = "".join(f"{f'as {name}':>12}" for name in ACTIONS)
    print(f"{'':<10}{'precision':>10}{'recall':>8}{columns}")
    for name, counts in zip(ACTIONS, figures["confusion"], strict=True):
        precision, recall = figures["precision"][name], figures["recall"][name]
        cells = "".join(f"{count:>12}" for count in counts)
        print(f"{name:<10}{100 * precision:>10.1f}{100 * recall:>8.1f}{cells}")


def _write_json(config: EvaluateActionConfig, report: dict[str, Any]) -> None:
    if config.json is None:
        return
    try:
        config.json.write_text(json.dumps(report, indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"{config.json}: cannot be written: {error.strerror}.") from error
