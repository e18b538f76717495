"""Measure the action model: `poseact evaluate-action`."""

import dataclasses
from typing import Any, Final

import numpy as np
import torch

from poseact.datasets.actions import ACTIONS, HELLO, ActionPoses, concatenate
from poseact.datasets.pose_crops import in_own_crops
from poseact.errors import BundleError
from poseact.evaluation.ablation import (
    NOISE,
    PROTOCOL,
    VARIANTS,
    Row,
    ablate,
    add_noise,
    format_table,
)
from poseact.evaluation.action_config import EvaluateActionConfig
from poseact.evaluation.action_metrics import measure_classifier
from poseact.evaluation.action_pictures import estimate_joints
from poseact.evaluation.calibration import Bin, reliability
from poseact.evaluation.reliability import write_reliability
from poseact.evaluation.report import source_commit, write_json
from poseact.models.action import KIND, ActionClassifier, classifier_from_bundle
from poseact.models.bundle import Bundle, read_bundle
from poseact.models.features import raised_hand
from poseact.training.action_config import TrainActionConfig
from poseact.training.action_steps import Bodies, held_out_poses, read_bodies

TITLES: Final = {
    "held_out": "generated arms and own poses, unseen films, true joints",
    "held_out_noisy": f"the same, joints off by {NOISE:g} body scales",
    "test_pictures": "the test pictures, labelled joints",
    "pictures_estimated": "all labelled pictures, joints found by the shipped pose bundle",
}


def evaluate_action(config: EvaluateActionConfig) -> int:
    """Print the figures of a bundle and, where asked for, what features and mirroring are worth.

    The films held out are those that the bundle's manifest names.

    Args:
        config: Settings.

    Returns:
        Exit code 0.

    Raises:
        BundleError: If the bundle cannot be used.
        InputError: If the data cannot be read.
        OutputError: If a file cannot be written.
    """
    torch.set_num_threads(1)  # of a few kiloflops per pose, more threads only wait for each other
    bundle = read_bundle(config.bundle, KIND)
    classifier = classifier_from_bundle(bundle)
    _check_measurable(bundle, classifier)
    bodies = read_bodies(config, bundle.manifest["held_out_films"])
    estimated = estimate_joints(
        concatenate([bodies.train_pictures, bodies.test_pictures]), config.actions_folder
    )
    held_out = held_out_poses(bodies, config.seed)
    poses = {
        "held_out": held_out,
        "held_out_noisy": _noisy(held_out, config.seed),
        "test_pictures": bodies.test_pictures,
        "pictures_estimated": estimated,
    }
    report = {
        "model_id": classifier.model_id,
        "commit": source_commit(),
        "data_hash": bundle.manifest.get("data_hash"),
        "seed": config.seed,
        "held_out_films": sorted(set(bodies.held_out.groups_N.tolist())),
        **{name: measure_classifier(classifier, of).as_json() for name, of in poses.items()},
        "hello_by_hand": _hello_by_hand(classifier, held_out),
    }
    _print_report(report)
    if config.reliability:
        drawn = {
            "true joints": poses["held_out"],
            f"joints off by {NOISE:g} body scales": poses["held_out_noisy"],
        }
        bins = {title: _bins(classifier, of) for title, of in drawn.items()}
        write_reliability(bins, config.reliability)
    if config.num_seeds:
        rows = _compare(config, bodies, estimated)
        report["ablation"] = {
            "protocol": PROTOCOL,
            "num_seeds": config.num_seeds,
            "rows": [row.as_json() for row in rows],
        }
    if config.json:
        write_json(config.json, report)
    return 0


def _check_measurable(bundle: Bundle, classifier: ActionClassifier) -> None:
    if classifier.classes != ACTIONS or "held_out_films" not in bundle.manifest:
        raise BundleError(
            f"{bundle.path}: classes {classifier.classes}, expected {ACTIONS}, and a list of "
            "held_out_films in the manifest. Train it with this version."
        )


def _noisy(poses: ActionPoses, seed: int) -> ActionPoses:
    noisy_NJ3 = add_noise(poses.joints_NJ3, np.random.default_rng(seed))
    return dataclasses.replace(poses, joints_NJ3=noisy_NJ3)


def _hello_by_hand(classifier: ActionClassifier, poses: ActionPoses) -> dict[str, float]:
    waving = poses.take(poses.labels_N == HELLO)
    hand_N = raised_hand(waving.joints_NJ3)
    return {
        hand: measure_classifier(classifier, waving.take(hand_N == hand)).accuracy
        for hand in ("left", "right")
    }


def _bins(classifier: ActionClassifier, poses: ActionPoses) -> list[Bin]:
    scores_NA = classifier.predict(in_own_crops(poses.joints_NJ3))
    return reliability(scores_NA.max(axis=1), scores_NA.argmax(axis=1) == poses.labels_N)


def _compare(config: EvaluateActionConfig, bodies: Bodies, estimated: ActionPoses) -> list[Row]:
    shipped = ((TrainActionConfig.features, TrainActionConfig.augment),)
    variants = VARIANTS if config.ablation else shipped
    rows = ablate(bodies, estimated, num_seeds=config.num_seeds, variants=variants)
    print(f"\nmeans of {config.num_seeds} seeds, %. {PROTOCOL}\n")
    print(format_table(rows, config.num_seeds))
    return rows


def _print_report(report: dict[str, Any]) -> None:
    print(f"action model {report['model_id']}, seed {report['seed']}, commit {report['commit']}")
    print(f"unseen films: {', '.join(report['held_out_films'])}")
    for name, title in TITLES.items():
        _print_figures(title, report[name])
    recalls = report["hello_by_hand"]
    print(
        f"\nHello recall, unseen films, true joints: with the left hand {recalls['left']:.2%}, "
        f"with the right {recalls['right']:.2%}"
    )


def _print_figures(title: str, figures: dict[str, Any]) -> None:
    print(f"\n{title}: {figures['num_answers']} poses")
    print(
        f"accuracy {100 * figures['accuracy']:.1f} %, macro-F1 {100 * figures['macro_f1']:.1f} %, "
        f"ECE-15 {figures['ece_15']:.4f}, Brier {figures['brier']:.4f}"
    )
    columns = "".join(f"{f'as {name}':>12}" for name in ACTIONS)
    print(f"{'':<10}{'precision':>10}{'recall':>8}{columns}")
    for name, counts in zip(ACTIONS, figures["confusion"], strict=True):
        precision, recall = figures["precision"][name], figures["recall"][name]
        cells = "".join(f"{count:>12}" for count in counts)
        print(f"{name:<10}{100 * precision:>10.1f}{100 * recall:>8.1f}{cells}")
