import numpy as np
import pytest

from poseact.datasets.actions import HELLO, NAMASTE, OTHER, ActionPoses, with_confidence
from poseact.evaluation.ablation import Row, ablate, add_noise, format_table
from poseact.models.features import normalise
from poseact.training.action_steps import Bodies

HANGING = np.array([[4, 6], [4, 3], [3, 0], [0, -4], [-3, 0], [-4, 3], [-4, 6]], np.float32)
WAVING = HANGING.copy()
WAVING[:2] = (7, -6), (6, 0)  # with the left hand
JOINED = HANGING.copy()
JOINED[[0, 6]] = (0.5, 3), (-0.5, 3)


def make_bodies(count, film):
    noise = np.random.default_rng(count).normal(scale=0.02, size=(count, 7, 2))
    return ActionPoses(
        joints_NJ3=with_confidence((HANGING / 10 + noise).astype(np.float32)),
        labels_N=np.full(count, OTHER),
        groups_N=np.full(count, film),
    )


def make_pictures(*names):
    joints_NJ2 = np.stack([WAVING if "hello" in name else JOINED for name in names])
    return ActionPoses(
        joints_NJ3=normalise(with_confidence(joints_NJ2)),
        labels_N=np.array([HELLO if "hello" in name else NAMASTE for name in names]),
        groups_N=np.array(names),
    )


@pytest.fixture(scope="module")
def rows():
    bodies = Bodies(
        train=make_bodies(300, "a"),
        calibration=make_bodies(10, "b"),
        held_out=make_bodies(60, "c"),
        train_pictures=make_pictures("namaste1.jpg"),
        test_pictures=make_pictures("hello_test.jpg", "namaste_test.jpg"),
    )
    estimated = make_pictures("namaste1.jpg", "hello_test.jpg", "namaste_test.jpg")
    variants = [("xy", "flip-swap"), ("distances", "none"), ("distances", "mirror-exact")]
    return ablate(bodies, estimated, num_seeds=2, variants=variants)


def test_every_variant_is_measured_from_every_seed(rows):
    assert [(row.features, row.augment) for row in rows] == [
        ("xy", "flip-swap"),
        ("distances", "none"),
        ("distances", "mirror-exact"),
    ]
    for row in rows:
        assert {len(of_seeds) for of_seeds in row.figures.values()} == {2}


def test_raw_coordinates_fail_at_other_scales_and_distances_do_not(rows):
    raw, _, distances = rows

    assert raw.mean("true same accuracy") > 0.8
    assert raw.mean("true any accuracy") < 0.65
    assert distances.figures["true any accuracy"] == pytest.approx(
        distances.figures["true same accuracy"], abs=0.01
    )


def test_the_left_hand_is_missed_without_the_mirror_and_exactly_the_right_one_with_it(rows):
    _, plain, exact = rows

    assert plain.mean("true same left") <= 0.05
    assert plain.mean("true same right") >= 0.9
    assert plain.mean("mirror gap") > 0.5
    assert exact.figures["mirror gap"] == [0, 0]
    for condition in ("true same", "true any", "noisy same", "noisy any"):
        assert exact.figures[f"{condition} left"] == exact.figures[f"{condition} right"]


def test_left_handed_pictures_are_right_with_the_mirror_only(rows):
    _, plain, exact = rows

    assert plain.figures["test pictures true"] == [0, 0]
    assert plain.figures["test pictures estimated"] == [0, 0]
    assert plain.figures["all pictures estimated"] == [pytest.approx(2 / 3)] * 2
    assert exact.figures["test pictures true"] == [1, 1]
    assert exact.figures["all pictures estimated"] == [1, 1]


def test_noise_costs_accuracy(rows):
    exact = rows[-1]

    assert exact.mean("noisy same accuracy") < exact.mean("true same accuracy")


def test_noise_is_a_tenth_of_the_body_scale_and_leaves_confidences():
    poses = make_bodies(3000, "a").joints_NJ3

    error = add_noise(poses, np.random.default_rng(0)) - poses

    assert error[..., :2].std() == pytest.approx(0.1, rel=0.02)
    assert (error[..., 2] == 0).all()


def test_the_table_shows_means_of_the_seeds_and_counts_of_pictures():
    names = [
        f"{joints} {scale} {what}"
        for joints in ("true", "noisy")
        for scale in ("same", "any")
        for what in ("accuracy", "right", "left")
    ]
    figures = {name: [0.5, 0.75] for name in names}
    figures |= {"test pictures true": [1, 1], "test pictures estimated": [1, 0]}
    figures |= {"all pictures estimated": [0.9, 1.0], "mirror gap": [0.0, 0.25]}
    row = Row(features="graph", augment="flip", figures=figures)

    *_, line = format_table([row], num_seeds=2).splitlines()

    assert line.split() == ["graph", "flip", *["62.5"] * 12, "2", "1", "0.25"]
    assert row.as_json()["figures"]["mirror gap"] == {"mean": 0.125, "min": 0.0, "max": 0.25}
