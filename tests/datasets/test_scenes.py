import cv2
import numpy as np
import pytest

from poseact.datasets.scenes import data_hash, read_scenes, scene_picture
from poseact.errors import InputError


def write_folder(folder, people, *, columns="file,split,width,height", extra=""):
    (folder / "images").mkdir(exist_ok=True)
    (folder / "pictures.csv").write_text(
        f"{columns}\na.png,val,100,80{extra}\nb.png,val,50,60{extra}\nc.png,train,50,60{extra}\n"
    )
    (folder / "people.csv").write_text("file,x0,y0,x1,y1,crowd\n" + "".join(people))


def test_people_and_crowds_are_told_apart_and_clipped_to_the_picture(tmp_path):
    write_folder(tmp_path, ["a.png,-3,10,30,90,0\n", "a.png,20,0,120,40,1\n", "c.png,1,1,2,2,0\n"])

    scenes = read_scenes(tmp_path, "val")

    assert [scene.path.name for scene in scenes] == ["a.png", "b.png"]
    assert scenes[0].size_px == (100, 80)
    assert scenes[0].boxes_N4.tolist() == [[0, 10, 30, 80]]
    assert scenes[0].ignored_M4.tolist() == [[20, 0, 100, 40]]
    assert scenes[0].boxes_N4.dtype == scenes[0].ignored_M4.dtype == np.float32


@pytest.mark.parametrize(
    ("people", "empty"),
    [
        pytest.param([], [True, True], id="nobody at all"),
        pytest.param(["b.png,1,1,9,9,0\n"], [True, False], id="a person"),
        pytest.param(["b.png,1,1,9,9,1\n"], [True, False], id="a crowd"),
    ],
)
def test_a_picture_of_nobody_stays_and_is_empty(tmp_path, people, empty):
    write_folder(tmp_path, people)

    scenes = read_scenes(tmp_path, "val")

    assert [scene.is_empty for scene in scenes] == empty
    assert scenes[0].boxes_N4.shape == scenes[0].ignored_M4.shape == (0, 4)


def test_the_group_is_the_recording_where_the_table_names_it(tmp_path):
    write_folder(tmp_path, [])
    assert {scene.group for scene in read_scenes(tmp_path, "val")} == {"a.png", "b.png"}

    write_folder(tmp_path, [], columns="file,split,width,height,recording", extra=",gate")
    assert {scene.group for scene in read_scenes(tmp_path, "val")} == {"gate"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param("a.png,30,10,20,90,0\n", r"line 3: the box \[30.*a\.png", id="sides swapped"),
        pytest.param("a.png,,10,20,90,0\n", "line 3: the box", id="a side missing"),
        pytest.param("a.png,100,10,120,90,0\n", "line 3: the box", id="outside the picture"),
        pytest.param("z.png,1,10,20,90,0\n", "z.png, which pictures.csv does not", id="stray"),
    ],
)
def test_a_wrong_box_is_named(tmp_path, row, message):
    write_folder(tmp_path, ["b.png,1,1,9,9,0\n", row])

    with pytest.raises(InputError, match=message):
        read_scenes(tmp_path, "val")


def test_an_unknown_split_lists_the_known_ones(tmp_path):
    write_folder(tmp_path, [])

    with pytest.raises(InputError, match=r"'test'.*train, val"):
        read_scenes(tmp_path, "test")


def test_a_picture_of_another_size_than_its_labels_are_for_is_refused(tmp_path):
    write_folder(tmp_path, [])
    scene = read_scenes(tmp_path, "val")[0]
    cv2.imwrite(str(scene.path), np.full((80, 100, 3), (0, 0, 255), np.uint8))

    assert scene_picture(scene)[0, 0].tolist() == [255, 0, 0]

    cv2.imwrite(str(scene.path), np.zeros((40, 50, 3), np.uint8))
    with pytest.raises(InputError, match=r"50x40, but pictures\.csv has 100x80"):
        scene_picture(scene)


def test_the_hash_knows_people_from_crowds(tmp_path):
    hashes = set()
    for people in (["a.png,1,2,30,40,0\n"], ["a.png,1,2,30,40,1\n"], ["a.png,1,2,30,41,0\n"]):
        write_folder(tmp_path, people)
        hashes |= {data_hash(read_scenes(tmp_path, "val")) for _ in range(2)}

    assert len(hashes) == 3


def test_the_published_folder_holds_the_published_numbers(data_dir):
    scenes = read_scenes(data_dir / "coco_people", "val")

    assert len(scenes) == 280
    assert sum(len(scene.boxes_N4) for scene in scenes) == 1000
    assert sum(scene.is_empty for scene in scenes) == 30
