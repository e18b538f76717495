import json

import numpy as np
import pytest
from scipy.io import savemat

from poseact.evaluation.sequences import cross_subject, measure_sequences
from poseact.training.sequence_steps import SequenceRecipe

CLASSES = ("bow", "wave", "other")


def test_figures_of_answers():
    labels_N = np.array([0, 0, 0, 0, 1, 1])
    scores_NA = np.array(
        [[0.8, 0.2, 0], [0.8, 0.2, 0], [0.4, 0.6, 0], [0.4, 0.6, 0], [0, 1, 0], [0.2, 0.1, 0.7]],
        np.float32,
    )

    got = measure_sequences(labels_N, scores_NA, CLASSES)

    assert got["num_sequences"] == 6
    assert got["accuracy"] == pytest.approx(3 / 6)
    assert got["recall"] == {"bow": 0.5, "wave": 0.5}
    # bow: precision 2/2, recall 2/4, F1 2/3; wave: precision 1/3, recall 1/2, F1 2/5
    assert got["macro_f1"] == pytest.approx((2 / 3 + 2 / 5) / 2)
    # fewer answers than bins: each is a bin; gaps .2 .2 .6 .6 0 .7
    assert got["ece_15"] == pytest.approx(2.3 / 6)
    assert got["confusions"] == [("bow", "wave", 2), ("wave", "other", 1)]


def write_people(folder):
    """Eight people who wave (a3) or squat (a27) twice, after their fashion."""
    rng = np.random.default_rng(0)
    stand = np.zeros((20, 3))
    stand[[0, 4, 5, 6, 8, 9, 10], 0] = 0, -0.2, -0.25, -0.25, 0.2, 0.25, 0.25
    stand[[0, 4, 5, 6, 8, 9, 10], 1] = 0.3, 0, -0.3, -0.55, 0, -0.3, -0.55
    stand[:, 2] = 2.8
    for person in range(1, 9):
        for trial in (1, 2):
            time_T = np.linspace(0, 1, 40 + person)
            skeleton_TK3 = (
                stand + rng.normal(scale=0.02, size=(1, 20, 3)) + 0 * time_T[:, None, None]
            )
            waving, squatting = skeleton_TK3.copy(), skeleton_TK3.copy()
            waving[:, 10, 1] += 0.8 * np.sin(np.pi * time_T)
            squatting[..., 1] -= 0.4 * np.sin(np.pi * time_T)[:, None]
            for action, motion_TK3 in ((3, waving), (27, squatting)):
                name = f"a{action}_s{person}_t{trial}_skeleton.mat"
                savemat(folder / name, {"d_skel": motion_TK3.transpose(1, 2, 0)})


def test_the_cross_subject_protocol_tests_on_people_never_trained_on(tmp_path):
    write_people(tmp_path)
    recipe = SequenceRecipe(epochs=3, batch_size=8, window_s=None, samples=16)

    got = cross_subject(tmp_path, recipe, seeds=(0, 1))

    assert got["num_training_sequences"] == 16
    assert got["all_seeds"]["num_sequences"] == 2 * 16
    assert set(got["all_seeds"]["recall"]) == {"right hand wave", "squat with stretched arms"}
    assert got["accuracies"] == [1, 1]
    assert got["accuracy_mean"] == 1
    assert "2, 4, 6, 8 for testing" in json.loads(json.dumps(got))["protocol"]
