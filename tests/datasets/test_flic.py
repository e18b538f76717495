import cv2
import numpy as np
import pytest
from scipy.io import savemat

from poseact.datasets.flic import read_flic
from poseact.datasets.person import read_picture
from poseact.errors import InputError
from poseact.skeleton import HEAD, JOINTS, L_SHOULDER, L_WRIST, R_SHOULDER, R_WRIST

SKIN_RGB = (200, 120, 80)


def write_preprocessed(folder, *, crop_numbers=range(14)):
    """One train crop of a 100 x 200 box, stored as a 224 x 224 picture with swapped colours."""
    (folder / "train").mkdir()
    stored = np.full((224, 224, 3), SKIN_RGB, np.uint8)  # RGB where OpenCV expects BGR
    cv2.imwrite(str(folder / "train" / "train0.png"), stored)
    numbers = ",".join(str(number) for number in crop_numbers)
    (folder / "train_joints_coords.csv").write_text(f"train0.png,{numbers}\n")
    (folder / "test_joints_coords.csv").write_text("")
    (folder / "crop_map.csv").write_text(
        "crop_split,crop_file,flic_split,movie,box_x0,box_y0,box_x1,box_y1,torso_px\n"
        "train,train0.png,valid,casino,10,20,110,220,55.5\n"
    )


def test_the_squash_is_undone_and_colours_are_mended(tmp_path):
    write_preprocessed(tmp_path, crop_numbers=[224, 224, 112, 112] + [0] * 10)

    (person,) = read_flic(tmp_path)

    assert person.size_px == (100, 200)
    assert person.joints_J3[:2].tolist() == [[100, 200, 1], [50, 100, 1]]
    assert (person.torso_px, person.group) == (55.5, "casino")
    assert (person.split, person.official_split) == ("train", "test")
    picture = read_picture(person)
    assert picture.shape == (200, 100, 3)
    assert tuple(picture[0, 0]) == SKIN_RGB


def test_a_crop_without_labels_is_named(tmp_path):
    write_preprocessed(tmp_path)
    (tmp_path / "train_joints_coords.csv").write_text("other.png" + ",1" * 14 + "\n")

    with pytest.raises(InputError, match=r"train0\.png"):
        read_flic(tmp_path)


def test_the_original_layout_gives_the_same_kind_of_people(tmp_path):
    coords = np.full((2, 29), np.nan)
    points = {0: (60, 50), 2: (70, 90), 3: (30, 50), 5: (20, 90), 6: (55, 130)}
    points |= {12: (48, 20), 13: (42, 20), 16: (45, 26), 1: (66, 70), 4: (24, 70)}
    for column, point in points.items():
        coords[:, column] = point
    examples = np.zeros(
        1, dtype=[(n, object) for n in ("coords", "filepath", "imgdims", "moviename", "istrain")]
    )
    examples[0] = (coords, "a.jpg", np.array([480, 720, 3]), "casino", 0)
    savemat(tmp_path / "examples.mat", {"examples": examples})

    (person,) = read_flic(tmp_path)

    assert person.size_px == (720, 480)
    assert person.joints_J3[L_WRIST].tolist() == [70, 90, 1]
    assert person.joints_J3[R_WRIST].tolist() == [20, 90, 1]
    assert person.joints_J3[HEAD].tolist() == [45, 22, 1]
    assert person.torso_px == pytest.approx(np.hypot(25, 80))
    assert (person.path.name, person.official_split) == ("a.jpg", "test")


def test_a_folder_of_neither_layout_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"examples\.mat"):
        read_flic(tmp_path)


def test_the_real_splits_have_the_published_sizes(data_dir):
    people = read_flic(data_dir / "flic")

    assert len(people) == 5003
    assert sum(person.split == "test" for person in people) == 574
    assert sum(person.official_split == "test" for person in people) == 1016
    both = [p for p in people if p.split == p.official_split == "train"]
    assert len(both) == 3572


def test_real_faces_are_redder_than_blue(data_dir):
    people = read_flic(data_dir / "flic")[::250]
    faces = []
    for person in people:
        x, y = person.joints_J3[HEAD, :2].astype(int)
        faces.append(read_picture(person)[y - 3 : y + 4, x - 3 : x + 4].mean(axis=(0, 1)))

    assert (np.array(faces)[:, 0] > np.array(faces)[:, 2]).mean() > 0.9


def test_most_real_people_face_the_camera(data_dir):
    """Person-centric labels: the left shoulder is on the picture's right."""
    joints = np.stack([person.joints_J3 for person in read_flic(data_dir / "flic")])

    assert (joints[:, L_SHOULDER, 0] < joints[:, R_SHOULDER, 0]).sum() == 247
    assert joints.shape[1] == len(JOINTS)
