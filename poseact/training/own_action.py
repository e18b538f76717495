"""Train the action model on a user's own labels, or on UTD-MHAD.

Shapes: N examples (poses or sequences).
"""

import dataclasses
from pathlib import Path
from typing import Final

import numpy as np

from poseact.datasets.actions import ActionPoses
from poseact.datasets.labels import choose_held_out, count_classes, name_a_side, report_labels
from poseact.datasets.own_actions import read_examples
from poseact.datasets.sequences import ActionSequences
from poseact.datasets.utd_mhad import UTD_PROTOCOL, cross_subject, read_utd_mhad
from poseact.errors import ConfigError, InputError
from poseact.evaluation.action_metrics import ActionFigures, measure_actions
from poseact.evaluation.calibration import fit_temperature
from poseact.models.action import KIND, ActionClassifier
from poseact.models.bundle import write_bundle
from poseact.training.action_config import UTD_MHAD, Augment, TrainActionConfig
from poseact.training.action_epochs import ActionRecipe, LabelledT
from poseact.training.action_run import train_net
from poseact.training.action_steps import Recipe
from poseact.training.command import command_line
from poseact.training.sequence_steps import SequenceRecipe

HELD_OUT_SHARE: Final = 0.25
"""About how much is measured on, and how much of the rest the scores are calibrated on."""

LEAST_STEPS: Final = 16
"""Steps of an epoch: few examples are seen several times in each, disturbed anew."""

POSES_PER_SEQUENCE: Final = 8
"""Poses of a batch whose place a sequence takes."""

GROUPS_PROTOCOL: Final = "groups (videos, people or pictures) never trained on"


def train_own_action(config: TrainActionConfig, data: Path) -> None:
    """Train on labels that somebody wrote down, and write the bundle.

    Args:
        config: Settings.
        data: Table, or ``utd-mhad:FOLDER``.

    Raises:
        ConfigError: If a setting does not go with the labels.
        InputError: If they cannot be read, or not be split.
        OutputError: If the bundle cannot be written.
    """
    if str(data).startswith(UTD_MHAD):
        folder = Path(str(data).removeprefix(UTD_MHAD))
        print(report_labels(read_utd_mhad(folder), "sequences").summary())
        train, held_out = cross_subject(folder)
        _train_and_write(config, _sequence_recipe(config, train), train, held_out, UTD_PROTOCOL)
        return
    examples, report = read_examples(data, config.run, is_moving=config.window_s is not None)
    print(report.summary())
    if isinstance(examples, ActionPoses):
        poses = _split(examples, config.seed)
        _train_and_write(config, _pose_recipe(config, poses[0]), *poses, GROUPS_PROTOCOL)
    else:
        moves = _split(examples, config.seed)
        _train_and_write(config, _sequence_recipe(config, moves[0]), *moves, GROUPS_PROTOCOL)


def _split(data: LabelledT, seed: int) -> tuple[LabelledT, LabelledT]:
    """Return what to train on and what is held out; InputError if there are too few groups."""
    is_out_N = choose_held_out(data.labels_N, data.groups_N, share=HELD_OUT_SHARE, seed=seed)
    return data.take(~is_out_N), data.take(is_out_N)


def _pose_recipe(config: TrainActionConfig, poses: ActionPoses) -> Recipe:
    return Recipe(
        features=config.features,
        augment=_augment(config, poses.classes),
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=config.seed,
    )


def _sequence_recipe(config: TrainActionConfig, data: ActionSequences) -> SequenceRecipe:
    if config.num_workers > 1:
        # windows per sequence differ, and every worker must take part in every step
        raise ConfigError(
            f"num_workers must be 0 or 1 for sequences, got {config.num_workers}: the network "
            "is small."
        )
    window_s = config.window_s or _usual_length_s(data)
    if not window_s:
        raise InputError(
            f"{config.data}: most sequences have but one frame. Give every sequence the rows of "
            "all its frames, or label poses."
        )
    return SequenceRecipe(
        epochs=config.epochs,
        batch_size=max(1, config.batch_size // POSES_PER_SEQUENCE),
        seed=config.seed,
        window_s=window_s,
        is_whole=config.window_s is None,
        causal=config.causal,
        mirror=_augment(config, data.classes) in ("flip-swap", "mirror-exact"),
    )


def _usual_length_s(data: ActionSequences) -> float:
    return round(float(np.median([one.pts_s_T[-1] - one.pts_s_T[0] for one in data])), 2)


def _augment(config: TrainActionConfig, classes: tuple[str, ...]) -> Augment:
    sides = name_a_side(classes)
    if not sides or config.augment == "none":
        return config.augment
    print(f"{sides[0]!r} names a side: nothing is mirrored")
    return "none"


def _train_and_write(
    config: TrainActionConfig,
    recipe: ActionRecipe[LabelledT],
    train: LabelledT,
    held_out: LabelledT,
    protocol: str,
) -> None:
    print(f"training on {len(train)}, measuring on {len(held_out)}: {protocol}", flush=True)
    temperature = _fit_temperature(config, recipe, train)
    net = train_net(config, recipe, _repeat(train, recipe))
    classifier = ActionClassifier(
        net, recipe.shape, train.classes, "just trained", temperature=temperature
    )
    figures = measure_actions(*recipe.answers(classifier, held_out), train.classes)
    kind = recipe.shape.kind
    manifest = {
        "kind": KIND,
        "name": f"own-{kind}",
        "architecture": dataclasses.asdict(recipe.shape),
        "temperature": round(temperature, 4),
        "classes": list(train.classes),
        "training_data": str(config.data),
        "training_examples": count_classes(train.labels_N, train.classes),
        "metrics": {"held_out_groups": {"protocol": protocol, **figures.as_json()}},
        "data_hash": train.data_hash(),
        "command": command_line("train-action", config),
        "seed": config.seed,
    }
    bundle = write_bundle(config.out, manifest=manifest, tensors=net.state_dict())
    _print_figures(figures)
    print(f"wrote {bundle.path} ({bundle.model_id})")


def _fit_temperature(
    config: TrainActionConfig, recipe: ActionRecipe[LabelledT], train: LabelledT
) -> float:
    """Find the temperature of a network that has not seen some of the groups.

    That network is for this alone: labels are too dear to be kept out of the one that is written.
    """
    try:
        learnt, asked = _split(train, config.seed)
    except InputError:
        print("scores are not calibrated: too few groups to keep some out of training for it")
        return 1.0
    print(f"calibrating on {len(asked)} of the training examples", flush=True)
    net = train_net(config, recipe, _repeat(learnt, recipe))
    classifier = ActionClassifier(net, recipe.shape, train.classes, "not calibrated")
    return fit_temperature(*recipe.answers(classifier, asked))


def _repeat(data: LabelledT, recipe: ActionRecipe[LabelledT]) -> LabelledT:
    rounds = -(-LEAST_STEPS * recipe.batch_size // len(data))
    return data.take(np.tile(np.arange(len(data)), max(1, rounds)))


def _print_figures(figures: ActionFigures) -> None:
    print(f"held-out groups: {figures.summary()}")
    for name, recall in figures.recall.items():
        if number := figures.num_labelled(name):
            print(f"  {name}: {100 * recall:.1f} % of {number}")
    for true, predicted, count in figures.confusions():
        print(f"  {true} taken for {predicted}: {count}")
