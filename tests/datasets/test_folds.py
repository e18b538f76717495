import numpy as np

from poseact.datasets.flic import read_flic
from poseact.datasets.folds import NUM_FOLDS, fold_of


def test_a_fold_never_changes():
    """Bundles that were trained earlier name their fold by number."""
    films = ["hitch", "battle-cry", "schindlers-list", "a.jpg"]

    assert [fold_of(film) for film in films] == [3, 0, 1, 4]


def test_many_groups_fall_evenly():
    counts = np.bincount([fold_of(f"picture{i}.jpg") for i in range(5000)], minlength=NUM_FOLDS)

    assert len(counts) == NUM_FOLDS
    assert counts.min() > 900


def test_the_folds_of_flic_hold_about_equally_many_people(data_dir):
    folds = [fold_of(person.group) for person in read_flic(data_dir / "flic")]

    assert np.bincount(folds).tolist() == [941, 1039, 984, 987, 1052]
