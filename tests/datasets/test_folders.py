import cv2
import numpy as np
import pytest

from poseact.datasets.folders import read_crop_folder, read_people_folder
from poseact.errors import InputError

JOINT_NAMES = [f"j{joint}{axis}" for joint in range(1, 8) for axis in "xyv"]


def write_people(folder, rows):
    (folder / "pictures.csv").write_text("file,split,width,height\na.jpg,val,100,80\n")
    header = ["file", "x0", "y0", "x1", "y1", "crowd", "torso_px", *JOINT_NAMES]
    lines = [",".join(header), *(",".join(map(str, row)) for row in rows)]
    (folder / "people.csv").write_text("\n".join(lines) + "\n")


def person_row(*, crowd=0, torso_px=20, visibility=2):
    return ["a.jpg", 10, 10, 30, 70, crowd, torso_px, *([5, 6, visibility] * 7)]


def test_crowds_small_people_and_people_without_joints_are_left_out(tmp_path):
    wanted = person_row()
    write_people(
        tmp_path,
        [wanted, person_row(crowd=1), person_row(torso_px=5), person_row(visibility=0)],
    )

    people = read_people_folder(tmp_path, "val", min_torso_fraction=0.08)

    assert len(people) == 1
    assert people[0].square == pytest.approx((20, 26, 36.8))
    assert people[0].size_px == (100, 80)


def test_hidden_joints_weigh_half_and_unlabelled_ones_nothing(tmp_path):
    row = person_row()
    row[7:13] = [5, 6, 1, 0, 0, 0]
    write_people(tmp_path, [row])

    (person,) = read_people_folder(tmp_path, "val")

    assert person.joints_J3[:3, 2].tolist() == [0.5, 0.0, 1.0]
    assert np.isnan(person.joints_J3[1, :2]).all()


def test_an_unknown_split_lists_the_known_ones(tmp_path):
    write_people(tmp_path, [person_row()])

    with pytest.raises(InputError, match=r"'test'.*val"):
        read_people_folder(tmp_path, "test")


def test_crops_are_read_with_a_square_around_the_whole_picture(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((60, 40, 3), np.uint8))
    columns = ",".join(f"j{joint}{axis}" for joint in range(1, 8) for axis in "xy")
    numbers = ",".join(["3.5"] * 12)
    (tmp_path / "joints.csv").write_text(f"file,{columns},torso_px\na.png,{numbers},,,-1\n")

    (person,) = read_crop_folder(tmp_path)

    assert person.square == (20, 30, 60)
    assert person.joints_J3[:, 2].tolist() == [1, 1, 1, 1, 1, 1, 0]
    assert np.isnan(person.torso_px)


def test_a_table_without_a_needed_column_says_which(tmp_path):
    (tmp_path / "joints.csv").write_text("file,j1x\n")

    with pytest.raises(InputError, match="'j1y'"):
        read_crop_folder(tmp_path)


def test_a_picture_that_is_missing_is_named(tmp_path):
    columns = ",".join(f"j{joint}{axis}" for joint in range(1, 8) for axis in "xy")
    (tmp_path / "joints.csv").write_text(f"file,{columns}\nb.png,{','.join(['1'] * 14)}\n")

    with pytest.raises(InputError, match=r"b\.png"):
        read_crop_folder(tmp_path)


def test_the_people_protocol_measures_the_published_number_of_people(data_dir):
    people = read_people_folder(data_dir / "coco_people", "val", min_torso_fraction=0.08)

    assert len(people) == 318
